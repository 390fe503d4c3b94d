"""The pulse of a worker: a beat on its event loop, four times a second, that says on the board how it is.

Who watches sees a loop that is blocked, or a process that is stopped, by a beat that does not come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from pierhead.board import Cell, Desk, Row, State

__all__ = ["BEAT_S", "Pulse"]

BEAT_S = 0.25
_QUICK_S = 0.025
_QUICK_BEATS = 20  # at first, when workers that start together have to meet


class Pulse:
    """Beats from `start` until `stop`; each time it has `publishers` write to the row, and looks at others.

    `peers` takes the cells of the other workers of the block that serve and whose loops turn.
    """

    def __init__(
        self,
        desk: Desk,
        publishers: Iterable[Callable[[Row], None]] = (),
        peers: Callable[[list[memoryview]], None] | None = None,
    ) -> None:
        self._desk = desk
        self._row = desk.row
        self._publishers = tuple(publishers)
        self._peers = peers
        self._due = 0.0
        self._beats = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Beat, and go on beating."""
        self._due = asyncio.get_running_loop().time()
        self._beat()

    def stop(self) -> None:
        """Beat a last time."""
        if self._timer is not None:
            self._timer.cancel()
            self._publish()

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        cells = self._row.cells
        lag_us = int((now - self._due) * 1e6)
        cells[Cell.LAG_US] = lag_us
        cells[Cell.LONGEST_LAG_US] = max(cells[Cell.LONGEST_LAG_US], lag_us)
        self._publish()
        if self._peers is not None:
            self._peers(self._find_peers())
        self._beats += 1
        seconds = BEAT_S if self._beats > _QUICK_BEATS else _QUICK_S
        self._due = now + seconds
        self._timer = loop.call_later(seconds, self._beat)

    def _publish(self) -> None:
        self._row.cells[Cell.BEAT_NS] = time.monotonic_ns()
        for publish in self._publishers:
            publish(self._row)

    def _find_peers(self) -> list[memoryview]:
        fresh = time.monotonic_ns() - int(4 * BEAT_S * 1e9)
        return [
            row.cells
            for row in self._desk.others()
            if row.cells[Cell.STATE] == State.SERVING and row.cells[Cell.BEAT_NS] > fresh
        ]
