"""The board: memory that all processes of a server share, where each worker writes down how it does.

Blocks of rows: a generation has a block; the block's first row is the generation's own, the others are its
workers'. A row is numbers (`Cell`) and notes (short texts, for what a worker is doing just now). Only the
process that a row belongs to writes to it, so nothing is locked; what is read may be a moment old.
"""

from __future__ import annotations

import enum
import mmap
import os
import sys
from collections.abc import Iterator

from pierhead.scratch import scratch_file

__all__ = [
    "BLOCKS",
    "BOARD_BYTES",
    "CROWD",
    "NOTES",
    "NOTE_BYTES",
    "ROWS",
    "Board",
    "Cell",
    "Desk",
    "Row",
    "State",
    "fits",
]

BLOCKS = 64
"""Generations at a time: one serves, the others drain."""
ROWS = 256
"""Rows in a block: the generation and at most 255 workers, with those that leave."""
NOTES = 8
"""Notes in a row: the first for what was begun last, the others for what takes longer."""
NOTE_BYTES = 192
"""The length of a note."""

_CELLS_BYTES = 1024
_ROW_BYTES = _CELLS_BYTES + NOTES * NOTE_BYTES
_BLOCK_BYTES = ROWS * _ROW_BYTES
CROWD = 1024
"""Clients in a worker's table of them; see `pierhead.transports.crowd`."""
_CROWD_BYTES = CROWD * 8
_CROWDS = BLOCKS * _BLOCK_BYTES  # where the tables begin
BOARD_BYTES = _CROWDS + BLOCKS * ROWS * _CROWD_BYTES
"""The size of a board; only what is in use of it takes memory."""


class Cell(enum.IntEnum):
    """The numbers of a row: 64 bits each, signed."""

    PID = 0
    STATE = 1
    BEAT_NS = 2
    """When the event loop last turned, on the monotonic clock, which all processes share."""
    BORN_NS = 3
    SLOT = 4
    OPEN = 5
    """Connections that are open."""
    TAKEN = 6
    """Connections accepted, with those it was forgiven: what evens out connections that do not stay."""
    IN_FLIGHT = 7
    """Requests that the application works on."""
    QUEUED = 8
    """Requests that wait for their turn."""
    LAG_US = 9
    """How late the event loop's last beat was."""
    HIGHEST = 10
    """Of a generation: its rows with a higher index were never used."""
    VERSION = 11
    """Of a generation: odd while it takes over what a worker has counted."""

    PROCESSES = 12
    """Isolated processes that there are."""
    PROCESSES_BUSY = 13
    PROCESSES_AWAITED = 14
    """Requests that wait for such a process."""

    # What only grows, and is added up over workers that are gone: from here on.
    ACCEPTED = 16
    WORK = 17
    """Requests that were answered."""
    REFUSED = 18
    """Requests that were refused because too many were in flight."""
    BYTES = 19
    DURATION_US = 20
    LONGEST_LAG_US = 21
    RESTARTS = 22
    """Of a generation: workers that had to be replaced."""
    STATUS = 24
    """Responses by status class: six cells, the first for what has no status."""
    BUCKET = 32
    """Responses by duration: sixteen cells."""
    PROCESSES_CRASHED = 48
    """Isolated processes that ended by themselves."""
    PROCESSES_KILLED = 49
    """Isolated processes that were killed because they took too long."""

    # What is added up over all that live, for limits.
    CONNECTIONS = 64
    """Connections that are open, in sixty-four cells: all, then those of each listener with its own limit."""


_TOTALS = slice(int(Cell.ACCEPTED), 64)


class State(enum.IntEnum):
    """What a row's process is doing."""

    FREE = 0
    STARTING = 1
    SERVING = 2
    LEAVING = 3


class Row:
    """One process's row."""

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._memory = memory
        self._notes = offset + _CELLS_BYTES
        crowd = _CROWDS + offset // _ROW_BYTES * _CROWD_BYTES
        self.crowd = memoryview(memory)[crowd : crowd + _CROWD_BYTES].cast("Q")
        """How many connections the process has from whom."""
        self.cells = memoryview(memory)[offset : offset + _CELLS_BYTES].cast("q")
        """The numbers, by `Cell`."""

    def place_of_note(self, index: int) -> tuple[mmap.mmap, int]:
        """Return the memory and the offset of a note, which is NOTE_BYTES long and padded with zeros."""
        return self._memory, self._notes + index * NOTE_BYTES

    def note(self, index: int, text: bytes) -> None:
        """Write a note, cut to NOTE_BYTES; an empty one takes it back."""
        memory, offset = self.place_of_note(index)
        memory[offset : offset + NOTE_BYTES] = text[:NOTE_BYTES].ljust(NOTE_BYTES, b"\0")

    def notes(self) -> list[str]:
        """Return all notes, "" where there is none."""
        memory, offset = self.place_of_note(0)
        found = [
            memory[at : at + NOTE_BYTES] for at in range(offset, offset + NOTES * NOTE_BYTES, NOTE_BYTES)
        ]
        return [text.rstrip(b"\0").decode("utf-8", "replace") for text in found]

    def add_totals(self, other: Row) -> None:
        """Take over what another row has counted."""
        ours, theirs = self.cells, other.cells
        longest = max(ours[Cell.LONGEST_LAG_US], theirs[Cell.LONGEST_LAG_US])
        for cell in range(_TOTALS.start, _TOTALS.stop):
            if theirs[cell]:
                ours[cell] += theirs[cell]
        ours[Cell.LONGEST_LAG_US] = longest

    def clear(self) -> None:
        """Free the row."""
        self.cells[:] = memoryview(bytes(_CELLS_BYTES)).cast("q")
        for index in range(NOTES):
            self.note(index, b"")
        if any(self.crowd):
            self.crowd[:] = memoryview(bytes(_CROWD_BYTES)).cast("Q")


def fits(fd: int) -> bool:
    """Tell whether a file is a board of the size that is used here: not one of another version."""
    return os.fstat(fd).st_size == BOARD_BYTES


class Board:
    """The rows of all processes of a server: those this one forks, or with `fd` those that have that file.

    Raises OSError where there is no memory.
    """

    def __init__(self, fd: int | None = None) -> None:
        if fd is None and sys.platform != "win32":  # anonymous memory would be counted as if all were in use
            own = scratch_file("pierhead-board", BOARD_BYTES)
            self._memory = mmap.mmap(own, BOARD_BYTES)
            os.close(own)
        else:
            self._memory = mmap.mmap(-1 if fd is None else fd, BOARD_BYTES)

    def row(self, block: int, index: int) -> Row:
        """Return a row; 0 is the generation's. It is valid as long as the process lives."""
        return Row(self._memory, block * _BLOCK_BYTES + index * _ROW_BYTES)

    def rows(self, block: int) -> Iterator[tuple[int, Row]]:
        """Yield the rows of a block that are taken, with their index: the generation's first."""
        for index in range(self.row(block, 0).cells[Cell.HIGHEST] + 1):
            row = self.row(block, index)
            if row.cells[Cell.STATE] != State.FREE:
                yield index, row


class Desk:
    """A worker's place at the board: its row, and a look at the others of its generation."""

    def __init__(self, board: Board, block: int, index: int) -> None:
        self.board = board
        self.row = board.row(block, index)
        self._block = block
        self._index = index

    def others(self) -> Iterator[Row]:
        """Yield the rows of the other workers."""
        for index, row in self.board.rows(self._block):
            if index not in {0, self._index}:
                yield row

    def everybody_else(self) -> Iterator[Row]:
        """Yield the rows of all other workers, those of generations that leave among them."""
        for block in range(1, BLOCKS):
            for index, row in self.board.rows(block):
                if index and (block, index) != (self._block, self._index):
                    yield row
