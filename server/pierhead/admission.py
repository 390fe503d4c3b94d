"""Admission: how many requests an application works on at a time; more wait in line, and not for ever.

Who waits too long, or finds the line full, gets 503 with Retry-After: better soon than after a timeout.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Coroutine, Iterable, Sized
from typing import TYPE_CHECKING, Any

from pierhead.board import Cell, Row
from pierhead.errors import ClientDisconnected
from pierhead.interfaces.conversation import departure
from pierhead.interfaces.first import until_one_ends
from pierhead.interfaces.layer import Layer
from pierhead.messages.response import Response

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.interfaces.base import Application
    from pierhead.messages.request import Request
    from pierhead.messages.websocket import WebSocket
    from pierhead.transports.limits import InFlight

__all__ = ["LINE_SETTINGS", "Admission", "publish"]

LINE_SETTINGS = frozenset({"max_in_flight", "max_queued", "queue_timeout_s"})
"""A listener that has one of these as its own has a line of its own."""

_BUSY = "too many requests are in progress"

# From Python 3.12 on a request's task begins before anybody has counted it.
_ITSELF = 0 if sys.version_info >= (3, 12) else 1


class Admission(Layer):
    """Fulfils `pierhead.interfaces.base.Application` by another one, `max_in_flight` at a time.

    `serve` tells it who keeps the requests in progress.
    """

    def __init__(self, application: Application, settings: Settings) -> None:
        super().__init__(application)
        self.refused = 0
        """How many got 503."""
        self._respond = application.respond
        self.in_flight: Sized = ()
        """The requests in progress, those in line among them."""
        self.line: deque[asyncio.Future[None]] = deque()
        """Who waits."""
        self._most = (settings.max_in_flight or 1 << 62) + _ITSELF
        self._most_queued = settings.max_queued
        self._timeout_s = settings.queue_timeout_s

    def serve(self, in_flight: InFlight) -> None:
        """Count the requests that are counted there."""
        self.in_flight = in_flight.tasks
        in_flight.ended = self.left

    def respond(self, request: Request) -> Coroutine[Any, Any, Response | None]:
        """Pass the request on, at once or when it is its turn, or answer 503."""
        if len(self.in_flight) < self._most and not len(self.line):
            return self._respond(request)
        return self._respond_later(request)

    async def converse(self, socket: WebSocket) -> None:
        """Pass the WebSocket on, at once or when it is its turn, or refuse it with 503.

        Raises ClientDisconnected where its client leaves the line.
        """
        if (len(self.in_flight) < self._most and not self.line) or await _unless_left(socket, self._wait()):
            await self.application.converse(socket)
        else:
            socket.request.refused = _BUSY
            await socket.reject(_busy())

    def left(self) -> None:
        """Let who waits longest go on, now that one has ended."""
        while self.line and len(self.in_flight) - len(self.line) < self._most - _ITSELF:
            first = self.line.popleft()
            if not first.done():
                first.set_result(None)

    async def _respond_later(self, request: Request) -> Response | None:
        if await self._wait():
            return await self._respond(request)
        request.refused = _BUSY
        return _busy()

    async def _wait(self) -> bool:
        """Wait in line; False where it is too long, or took too long."""
        if len(self.line) < self._most_queued:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.line.append(turn)
            try:
                async with asyncio.timeout(self._timeout_s or None):
                    await turn
                return True
            except TimeoutError:
                pass
            finally:
                if turn in self.line:
                    self.line.remove(turn)
        self.refused += 1
        return False


def publish(lines: Iterable[Admission], row: Row) -> None:
    """Write the numbers of all that have a line to a row of the board."""
    row.cells[Cell.QUEUED] = sum(len(one.line) for one in lines)
    row.cells[Cell.REFUSED] = sum(one.refused for one in lines)


async def _unless_left(socket: WebSocket, turn: Coroutine[Any, Any, bool]) -> bool:
    """Wait for its turn, and no longer than its client; raises ClientDisconnected where that has left."""
    leaving, waiting = await until_one_ends(departure(socket), turn)
    if not leaving.cancelled():
        raise ClientDisconnected("the client closed the connection")
    in_time: bool = waiting.result()
    return in_time


def _busy() -> Response:
    return Response.problem(503, _BUSY, headers={"Retry-After": "1"})
