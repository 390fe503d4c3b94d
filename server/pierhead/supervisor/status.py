"""What the board says, for people and programs: the answer to `pierhead status`."""

from __future__ import annotations

import time
from typing import Any

from pierhead.board import Board, Cell, Row, State
from pierhead.supervisor.launch import Generation
from pierhead.supervisor.vigil import memory_bytes

__all__ = ["describe_generation", "describe_worker"]


def describe_generation(board: Board, generation: Generation) -> dict[str, Any]:
    """Return what is known of a generation, with its workers in the order of their slots."""
    workers = [describe_worker(row) for index, row in board.rows(generation.block) if index]
    return {
        "number": generation.number,
        "pid": generation.pid,
        "state": "leaving" if generation.leaving else "serving" if generation.ready else "starting",
        "workers": sorted(workers, key=lambda worker: (worker["slot"], worker["age_s"])),
    }


def describe_worker(row: Row) -> dict[str, Any]:
    """Return what a worker's row says; durations in seconds, memory in bytes."""
    cells = row.cells
    now_ns = time.monotonic_ns()
    pid = cells[Cell.PID]
    return {
        "pid": pid,
        "slot": cells[Cell.SLOT],
        "state": State(cells[Cell.STATE]).name.lower(),
        "age_s": round((now_ns - cells[Cell.BORN_NS]) / 1e9, 1),
        "silent_s": round((now_ns - cells[Cell.BEAT_NS]) / 1e9, 1),
        "connections": cells[Cell.OPEN],
        "in_flight": cells[Cell.IN_FLIGHT],
        "queued": cells[Cell.QUEUED],
        "accepted": cells[Cell.ACCEPTED],
        "requests": cells[Cell.WORK],
        "errors": cells[Cell.STATUS + 5],
        "body_bytes": cells[Cell.BYTES],
        "lag_s": cells[Cell.LAG_US] / 1e6,
        "longest_lag_s": cells[Cell.LONGEST_LAG_US] / 1e6,
        "memory_bytes": memory_bytes(pid),
        "processes": {
            "all": cells[Cell.PROCESSES],
            "busy": cells[Cell.PROCESSES_BUSY],
            "waiting": cells[Cell.PROCESSES_AWAITED],
            "crashed": cells[Cell.PROCESSES_CRASHED],
            "killed": cells[Cell.PROCESSES_KILLED],
        },
        "in_progress": [note.partition("?")[0] for note in row.notes()[1:] if note],
    }
