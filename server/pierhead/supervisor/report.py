"""What a worker's server has counted, written to the worker's row on the board."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pierhead.board import NOTES, Cell, Row

if TYPE_CHECKING:
    from pierhead.transports.server import Server

__all__ = ["report"]


def report(server: Server, row: Row) -> None:
    """Copy the numbers to where others read them."""
    cells, meter = row.cells, server.meter
    cells[Cell.OPEN] = server.connections
    cells[Cell.IN_FLIGHT] = server.in_progress
    requests = server.requests_in_progress(NOTES - 1)
    for index in range(1, NOTES):
        request = requests[index - 1] if index <= len(requests) else None
        row.note(index, f"{request.method} {request.target}".encode() if request is not None else b"")
    if not requests:
        row.note(0, b"")
    cells[Cell.BYTES] = meter.body_bytes
    cells[Cell.DURATION_US] = int(meter.seconds * 1e6)
    classes = [0] * 6
    for status, count in meter.statuses.items():
        classes[status // 100] += count
    for index, count in enumerate(classes):
        cells[Cell.STATUS + index] = count
    for index, count in enumerate(meter.durations):
        cells[Cell.BUCKET + index] = count
    cells[Cell.WORK] = sum(classes)
