"""A WebSocket whose handler runs in a process of the pool, as the worker sees it.

Once the process accepts the handshake the connection is passed to it, and frames no longer come this way;
the worker only tells it when the server goes away. Where a connection has more to it than its socket, as one
over TLS, the worker relays the messages.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from pierhead.errors import ClientDisconnected, WebSocketClosed
from pierhead.interfaces.conversation import departure
from pierhead.isolation.call import busy, lease
from pierhead.isolation.errand import Errand
from pierhead.isolation.facts import fields_of, request_facts
from pierhead.isolation.frames import Frame, Kind
from pierhead.isolation.pool import Busy
from pierhead.messages.response import Response
from pierhead.transports.passed import Given, give_away

if TYPE_CHECKING:
    from pierhead.isolation.pool import Pool
    from pierhead.messages.websocket import WebSocket

__all__ = ["converse"]

_RESTART = 1012


async def converse(pool: Pool, socket: WebSocket) -> None:
    """Have a process converse; see `pierhead.interfaces.base.Application.converse`."""
    gone = asyncio.ensure_future(departure(socket))
    try:
        process = await lease(pool, gone)
    except Busy:
        await socket.reject(busy(socket.request))
        return
    finally:
        gone.cancel()
    pool = process.pool
    errand = Errand(process, socket.request)
    conversation = _Conversation(socket, errand)
    over = False
    pool.told.add(conversation.leave)
    try:
        over = await conversation.run()
    finally:
        pool.told.discard(conversation.leave)
        await conversation.stop()
        if over:
            errand.finished()
        else:
            errand.forsake()
            errand.dismiss()


class _Conversation:
    def __init__(self, socket: WebSocket, errand: Errand) -> None:
        self._socket = socket
        self._errand = errand
        self._given: Given | None = None
        self._leaving = False
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> bool:
        """Converse until the process is done; tells whether it is, or is gone."""
        errand, socket = self._errand, self._socket
        facts = request_facts(socket.request) | {"subprotocols": socket.subprotocols}
        errand.link.send(Kind.OPEN, facts)
        self._tasks.append(asyncio.ensure_future(self._watch_client()))
        while (frame := await self._hear()) is not None:
            if frame.kind is Kind.DONE:
                if self._given is not None:
                    self._given.finished(frame.facts["sent"])
                return True
            if frame.kind is Kind.ACCEPT:
                await self._accept(frame)
            elif frame.kind is Kind.RESPONSE:
                fields = fields_of(frame.facts["fields"])
                await socket.reject(Response.from_raw(frame.facts["status"], fields, frame.data))
            else:
                await self._relay(frame)
        with contextlib.suppress(ClientDisconnected):
            status = await errand.lost()
            if not socket.answered:
                await socket.reject(Response.problem(status))
            else:
                await socket.close(1011, "the server failed")
        return False

    def leave(self) -> None:
        """Have the WebSocket closed with 1012: its application is reloaded."""
        self._leaving = True
        if self._given is not None:
            self._go_away(_RESTART)
        elif self._socket.answered:
            self._tasks.append(asyncio.ensure_future(self._close()))

    async def _close(self) -> None:
        with contextlib.suppress(WebSocketClosed):
            await self._socket.close(_RESTART, "the server restarts")

    async def stop(self) -> None:
        """End what goes on beside."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _hear(self) -> Frame | None:
        """Return the next frame; there is a time limit for the answer to the handshake only."""
        if self._socket.answered:
            return await self._errand.link.read()
        return await self._errand.hear()

    async def _watch_client(self) -> None:
        with contextlib.suppress(RuntimeError):  # it was answered meanwhile
            try:
                await self._socket.disconnect()
            except WebSocketClosed:
                self._errand.forsake()

    async def _accept(self, frame: Frame) -> None:
        """Give the connection away, or accept here and relay."""
        link = self._errand.link
        self._given = given = give_away(self._socket.channel, self._go_away, self._errand.forsake)
        if given is not None:
            self._socket.given_away()
            facts = {
                "key": given.handshake.key.decode("latin-1"),
                "extensions": [one.decode("latin-1") for one in given.handshake.extensions],
                "limits": given.own_limits,
            }
            link.send(Kind.SOCKET, facts, given.ahead, files=[given.fd])
            if code := given.close_code or (_RESTART if self._leaving else 0):
                self._go_away(code)
            return
        self._socket.request.response_headers.raw.clear()  # the process has added them
        try:
            await self._socket.accept(frame.facts["subprotocol"], fields_of(frame.facts["headers"]))
        except WebSocketClosed:
            self._errand.forsake()
            return
        link.send(Kind.RELAY)
        self._tasks.append(asyncio.ensure_future(self._pass_messages_on()))
        if self._leaving:
            self.leave()

    def _go_away(self, code: int) -> None:
        self._errand.link.send(Kind.GO_AWAY, {"code": code})

    async def _relay(self, frame: Frame) -> None:
        """Send what the process says to the client; where the client has left, that is told already."""
        socket = self._socket
        with contextlib.suppress(WebSocketClosed):
            if frame.kind is Kind.TEXT:
                await socket.send(frame.data.decode())
            elif frame.kind is Kind.BINARY:
                await socket.send(frame.data)
            elif frame.kind is Kind.PING:
                await socket.ping(frame.data)
            elif frame.kind is Kind.CLOSE:
                await socket.close(frame.facts["code"], frame.facts["reason"])

    async def _pass_messages_on(self) -> None:
        link = self._errand.link
        with contextlib.suppress(ConnectionError):
            try:
                while True:
                    message = await self._socket.receive()
                    if isinstance(message, str):
                        link.send(Kind.TEXT, data=message.encode())
                    else:
                        link.send(Kind.BINARY, data=message)
                    await link.drain()
            except WebSocketClosed as closed:
                link.send(Kind.CLOSE, {"code": closed.code, "reason": closed.reason})
