"""The board: what one process writes, others read."""

from __future__ import annotations

import os

from pierhead.board import BOARD_BYTES, NOTE_BYTES, NOTES, Board, Cell, Desk, State
from pierhead.scratch import scratch_file


def test_what_one_process_writes_others_read() -> None:
    fd = scratch_file("test", BOARD_BYTES)
    ours, theirs = Board(fd), Board(fd)
    os.close(fd)
    row = ours.row(3, 2)
    row.cells[Cell.OPEN] = 7
    row.note(0, b"GET /a")
    row.note(NOTES - 1, b"x" * 500)
    assert theirs.row(3, 2).cells[Cell.OPEN] == 7
    assert theirs.row(3, 2).notes() == ["GET /a", *[""] * (NOTES - 2), "x" * NOTE_BYTES]
    row.note(0, b"")
    row.note(NOTES - 1, b"")
    assert not any(theirs.row(3, 2).notes())


def test_a_desk_sees_the_others_of_its_generation() -> None:
    board = Board()
    board.row(1, 0).cells[Cell.HIGHEST] = 5
    for block, index in [(1, 0), (1, 1), (1, 2), (1, 5), (2, 1)]:
        board.row(block, index).cells[Cell.STATE] = State.SERVING
        board.row(block, index).cells[Cell.PID] = 10 * block + index
    assert [row.cells[Cell.PID] for row in Desk(board, 1, 2).others()] == [11, 15]


def test_counts_outlive_their_row_and_what_is_momentary_does_not() -> None:
    board = Board()
    total, row = board.row(1, 0), board.row(1, 1)
    for _ in range(2):
        row.cells[Cell.WORK] = 5
        row.cells[Cell.BUCKET + 15] = 1
        row.cells[Cell.OPEN] = 3
        row.cells[Cell.LONGEST_LAG_US] = 40
        row.note(1, b"GET /")
        total.add_totals(row)
        row.clear()
    assert total.cells[Cell.WORK] == 10
    assert total.cells[Cell.BUCKET + 15] == 2
    assert total.cells[Cell.OPEN] == 0
    assert total.cells[Cell.LONGEST_LAG_US] == 40
    assert not any(row.cells)
    assert not any(row.notes())
