"""Accepts connections from a listening socket that several workers share, each its share of them.

All workers wait at the same socket, so that no connection is ever queued for one that is dead, stopped or
blocked. Left alone, they would take unequal shares, as whoever wakes first takes most: so a worker that is
ahead of another lets a connection wait for some milliseconds, and only then takes it after all.
"""

from __future__ import annotations

import asyncio
import logging
import socket as socket_module
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pierhead.board import Cell, Row
from pierhead.log import facts
from pierhead.transports.descriptors import EXHAUSTED

if TYPE_CHECKING:
    from pierhead.transports.server import Server

__all__ = ["Acceptor", "Share"]

logger = logging.getLogger("pierhead.server")

_BATCH = 4  # connections accepted in one turn of the loop: others get theirs, and requests are answered
_DEFER_S = 0.001
_LONG_DEFER_S = 0.005  # the other may have to wait for a processor
_PAUSE_S = 0.05
_SETTLE_S = 2.0
_OPEN = int(Cell.OPEN)
_TAKEN = int(Cell.TAKEN)
_DEBT = 8


class Share:
    """What a worker knows of the others, to leave them their share."""

    def __init__(self, row: Row) -> None:
        self.cells = self._cells = row.cells
        """What this worker writes."""
        self.everybody: list[memoryview] = []
        """The cells of all other workers, whatever they do."""
        self.crowd = row.crowd
        """Whose connections this worker has."""
        self.crowds: list[memoryview] = []
        """Whose the other workers have."""
        self._peers: list[memoryview] = []
        self._at_meeting = 0

    def meet(self, peers: list[memoryview]) -> None:
        """Take note of the cells of all other workers that accept connections now; a few times a second.

        Who took much less than another is forgiven the difference: it may be new, or was busy.
        """
        self._peers = peers
        cells = self._cells
        most = max((peer[_TAKEN] for peer in peers), default=0)
        self._at_meeting = cells[_TAKEN] = max(cells[_TAKEN], most - _DEBT)

    def know(self, others: Iterable[Row]) -> None:
        """Take note of the rows of all other workers, for limits that hold for all; a few times a second."""
        rows = list(others)
        self.everybody = [row.cells for row in rows]
        self.crowds = [row.crowd for row in rows]

    def wait_s(self, connections: int) -> float:
        """Return how long to wait for another worker to take the next connection, 0 where it is our turn.

        Notes our number of connections.

        Ahead is who has more open connections than another, by two and an eighth; or no fewer open, and took
        more of late (connections that come and go leave no other trace), by four and an eighth of what it
        took since the last meeting: where there are many of them, waiting costs more than it evens out.
        """
        ours = self._cells
        ours[_OPEN] = connections
        taken = ours[_TAKEN]
        lately = taken - self._at_meeting
        enough = taken - 4 - (lately >> 3)
        too_much = taken - 8 - (lately >> 2)
        for cells in self._peers:
            others = cells[_OPEN]
            if connections > others + 2 + (others >> 3):
                return _DEFER_S if connections < others + 4 + (others >> 1) else _LONG_DEFER_S
            if connections >= others and enough > cells[_TAKEN]:
                return _DEFER_S if cells[_TAKEN] >= too_much else _LONG_DEFER_S
        return 0.0

    def took(self, connections: int) -> None:
        """Note that we took a connection, and have so many now."""
        cells = self._cells
        cells[_OPEN] = connections
        cells[_TAKEN] += 1
        cells[Cell.ACCEPTED] += 1


class Acceptor:
    """Accepts for one server from one listening socket, which it owns.

    `budget` is how many connections the server may hold: at that number the next ones wait in the kernel's
    queue. `options` go to the loop's `connect_accepted_socket`, as `ssl`.
    """

    def __init__(
        self,
        server: Server,
        listener: socket_module.socket,
        connect: Callable[[], asyncio.Protocol],
        share: Share | None,
        budget: int,
        **options: Any,
    ) -> None:
        self._server = server
        self._listener = listener
        self._connect = connect
        self._share = share
        self._budget = budget
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._pending: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._deferred = False
        self._paused_at = 0.0
        self._complained_at = 0.0
        listener.setblocking(False)
        self._loop.add_reader(listener.fileno(), self._accept_some)

    async def settle(self) -> None:
        """Wait until all that was accepted are connections; give up on handshakes that take too long."""
        if self._pending:
            _, late = await asyncio.wait(self._pending, timeout=_SETTLE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def close(self, *, take_all: bool = False) -> None:
        """Stop accepting; with `take_all` only after taking what clients have queued up till now."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._share = None
        while take_all and self._accept_one():
            pass
        self._listener.close()

    def _accept_some(self) -> None:
        for _ in range(_BATCH):
            connections = self._connections
            if connections >= self._budget:
                self._pause(f"{connections} connections take all file descriptors but a reserve")
                return
            if (
                not self._deferred
                and self._share is not None
                and (seconds := self._share.wait_s(connections))
            ):
                self._deferred = True
                self._wait(seconds)
                return
            self._deferred = False
            if not self._accept_one():
                return
        if self._paused_at:
            self._resumed()

    @property
    def _connections(self) -> int:
        return self._server.connections + len(self._pending)

    def _accept_one(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._pause(f"{error.strerror} after {self._connections} connections")
            else:
                self._pause(f"accept failed: {error}")
            return False
        connection.setblocking(False)
        task = self._loop.create_task(self._make(connection))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        if self._share is not None:
            self._share.took(self._connections)
        return True

    async def _make(self, connection: socket_module.socket) -> None:
        """Make a connection of an accepted socket."""
        await self._hand_over(connection, self._connect)

    async def _hand_over(
        self, connection: socket_module.socket, connect: Callable[[], asyncio.Protocol]
    ) -> None:
        try:
            await self._loop.connect_accepted_socket(connect, connection, **self._options)
        except (OSError, asyncio.CancelledError) as error:  # it is gone already, or its handshake failed
            connection.close()
            logger.debug("a connection was lost before it began: %s", error)

    def _wait(self, seconds: float) -> None:
        """Look away for so long: a socket that is left readable would keep the loop spinning."""
        if self._closed:
            return
        self._loop.remove_reader(self._listener.fileno())
        self._timer = self._loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        if self._paused_at and self._connections >= self._budget:
            self._timer = self._loop.call_later(_PAUSE_S, self._look_again)
            return
        self._loop.add_reader(self._listener.fileno(), self._accept_some)

    def _pause(self, reason: str) -> None:
        if not self._paused_at:
            self._paused_at = time.monotonic()
            if self._paused_at > self._complained_at + 10.0:
                self._complained_at = self._paused_at
                logger.warning(
                    "accepting pauses: %s; new ones wait in the queue",
                    reason,
                    extra=facts("accept_paused", reason=reason, connections=self._connections),
                )
        if self._timer is None:
            self._wait(_PAUSE_S)

    def _resumed(self) -> None:
        seconds = time.monotonic() - self._paused_at
        self._paused_at = 0.0
        logger.info(
            "accepting again, after %.1f s", seconds, extra=facts("accept_resumed", seconds=round(seconds, 3))
        )
