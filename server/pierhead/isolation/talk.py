"""A WebSocket in an isolated process: its connection is passed here once the handshake is accepted.

Where a connection cannot be passed, as one over TLS, its messages are relayed by the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as socket_module
from collections import deque
from typing import TYPE_CHECKING, Any

from pierhead.errors import ClientDisconnected, WebSocketClosed
from pierhead.interfaces.conversation import converse
from pierhead.isolation.facts import make_request, texts_of
from pierhead.isolation.frames import MOST_BYTES, Frame, Kind
from pierhead.messages.headers import HeaderItems, Headers
from pierhead.messages.websocket import WebSocket, WebSocketChannel
from pierhead.protocols.websocket import Handshake
from pierhead.transports.passed import PassedConnection

if TYPE_CHECKING:
    from pierhead.isolation.link import Link
    from pierhead.messages.response import Response
    from pierhead.transports.server import Server

__all__ = ["Talk"]

_GONE = WebSocketClosed(1006, "the client went away")
_MOST_WAITING = 64


class Talk:
    """One conversation; implements `pierhead.messages.websocket.WebSocketChannel`."""

    def __init__(self, link: Link, server: Server, frame: Frame) -> None:
        self._link = link
        self._server = server
        self._left = False
        self._changed = asyncio.Event()
        self._connection: PassedConnection | None = None
        self._relay: _Relay | None = None
        self._channel: WebSocketChannel | None = None
        self._ready: Frame | None = None
        self._code = 0  # what to close with, as the server leaves
        self._request = make_request(frame.facts, None)
        self._subprotocols = tuple(frame.facts["subprotocols"])

    # What the process calls

    async def run(self) -> dict[str, Any]:
        """Have the application converse, until the connection is closed."""
        socket = WebSocket(self._request, self, self._subprotocols)
        with contextlib.suppress(ClientDisconnected, WebSocketClosed, asyncio.CancelledError):
            await converse(self._server.application, socket)
        await self._request.close()
        if self._connection is None:
            return {"sent": 0}
        return {"sent": await self._connection.finish()}

    async def take(self, frame: Frame) -> None:
        """Take what the worker says of the connection."""
        if frame.kind is Kind.GO_AWAY:
            self._code = frame.facts["code"]
            self._go_away()
        elif self._relay is not None:
            await self._relay.take(frame)
        else:
            if frame.kind is Kind.RELAY:  # messages may follow at once
                self._relay = _Relay(self._link)
            self._ready = frame
            self._changed.set()

    def leave(self) -> None:
        """Take note that the client has left, or is to be left."""
        self._left = True
        self._changed.set()
        if self._connection is not None:
            self._connection.abort()
        if self._relay is not None:
            self._relay.closed(_GONE)

    # WebSocketChannel

    async def accept(self, subprotocol: str | None, headers: HeaderItems) -> None:
        """Have the worker hand the connection over, and complete the handshake; see WebSocketChannel."""
        lines = texts_of(Headers(headers).raw)
        self._link.send(Kind.ACCEPT, {"subprotocol": subprotocol, "headers": lines})
        while self._ready is None and not self._left:
            self._changed.clear()
            await self._changed.wait()
        if self._ready is None:
            raise _GONE
        if self._ready.kind is Kind.SOCKET:
            facts = self._ready.facts
            handshake = Handshake(
                key=facts["key"].encode("latin-1"),
                subprotocols=self._subprotocols,
                extensions=tuple(text.encode("latin-1") for text in facts["extensions"]),
            )
            passed = socket_module.socket(fileno=self._link.take_file())
            limits = self._server.limits_of(tuple((name, value) for name, value in facts["limits"]))
            self._connection = await PassedConnection.take_over(
                self._server, limits, passed, self._ready.data, handshake
            )
            self._channel = self._connection.shell
            await self._channel.accept(subprotocol, headers)
            self._go_away()
        else:
            self._channel = self._relay

    async def reject(self, response: Response) -> None:
        """Have the worker answer the handshake; see WebSocketChannel."""
        if not isinstance(response.body, bytes):
            raise TypeError("a WebSocket is rejected with a response whose body is bytes")
        facts = {"status": response.status, "fields": texts_of(response.headers.raw)}
        self._link.send(Kind.RESPONSE, facts, response.body)

    async def disconnect(self) -> None:
        """Wait until the client has left; see WebSocketChannel."""
        while not self._left:
            self._changed.clear()
            await self._changed.wait()
        raise _GONE

    async def receive(self) -> str | bytes:
        """Return the next message; see WebSocketChannel."""
        return await self._accepted.receive()

    async def send(self, message: str | bytes) -> None:
        """Send a message; see WebSocketChannel."""
        await self._accepted.send(message)

    async def ping(self, payload: bytes) -> None:
        """Send a ping; see WebSocketChannel."""
        await self._accepted.ping(payload)

    async def close(self, code: int, reason: str) -> None:
        """Close; see WebSocketChannel."""
        await self._accepted.close(code, reason)

    def _go_away(self) -> None:
        if self._code and self._connection is not None and self._connection.upgraded is not None:
            self._connection.upgraded.go_away(self._code)

    @property
    def _accepted(self) -> WebSocketChannel:
        assert self._channel is not None
        return self._channel


class _Relay:
    """Implements WebSocketChannel, after the handshake, by messages that the worker sends and receives."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._queue: deque[str | bytes] = deque()
        self._closed: WebSocketClosed | None = None
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    async def take(self, frame: Frame) -> None:
        """Take a message, or the close; waits while there is no room."""
        if frame.kind is Kind.CLOSE:
            self.closed(WebSocketClosed(frame.facts["code"], frame.facts["reason"]))
            return
        self._queue.append(frame.data.decode() if frame.kind is Kind.TEXT else frame.data)
        self._arrived.set()
        while len(self._queue) >= _MOST_WAITING and self._closed is None:
            self._room.clear()
            await self._room.wait()

    def closed(self, closed: WebSocketClosed) -> None:
        """Take note of the end."""
        self._closed = self._closed or closed
        self._arrived.set()
        self._room.set()

    async def accept(self, subprotocol: str | None, headers: HeaderItems) -> None:
        """Do nothing: the worker has accepted."""

    async def reject(self, response: Response) -> None:
        """Do nothing: the worker has accepted."""

    async def disconnect(self) -> None:
        """Do nothing: it is for handshakes that are not answered."""

    async def receive(self) -> str | bytes:
        """Return the next message; see WebSocketChannel."""
        while not self._queue:
            if self._closed is not None:
                raise self._closed
            self._arrived.clear()
            await self._arrived.wait()
        self._room.set()
        return self._queue.popleft()

    async def send(self, message: str | bytes) -> None:
        """Send a message; see WebSocketChannel."""
        if isinstance(message, str):
            await self._send(Kind.TEXT, message.encode())
        else:
            await self._send(Kind.BINARY, message)

    async def ping(self, payload: bytes) -> None:
        """Send a ping; see WebSocketChannel."""
        await self._send(Kind.PING, payload)

    async def close(self, code: int, reason: str) -> None:
        """Have the worker close, and wait until it has; see WebSocketChannel."""
        if self._closed is None:
            self._link.send(Kind.CLOSE, {"code": code, "reason": reason})
        while self._closed is None:
            self._queue.clear()  # nobody reads what came before the peer's close
            self._room.set()
            self._arrived.clear()
            await self._arrived.wait()

    async def _send(self, kind: Kind, data: bytes) -> None:
        if self._closed is not None:
            raise self._closed
        if len(data) > MOST_BYTES:
            raise ValueError(f"a message that is relayed has at most {MOST_BYTES} bytes, not {len(data)}")
        self._link.send(kind, data=data)
        try:
            await self._link.drain()
        except ConnectionError:
            raise _GONE from None
