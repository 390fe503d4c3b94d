"""One WebSocket in ASGI: the `receive` and `send` that an application is called with."""

from __future__ import annotations

import asyncio
import enum

from pierhead.errors import ClientDisconnected, WebSocketClosed
from pierhead.interfaces.additions import additions
from pierhead.interfaces.asgi.scope import Message
from pierhead.interfaces.fields import checked_fields
from pierhead.interfaces.first import until_one_ends
from pierhead.messages.headers import RawHeaders
from pierhead.messages.response import Response
from pierhead.messages.websocket import WebSocket

__all__ = ["WebSocketCall"]


class _State(enum.Enum):
    NEW = "websocket.connect was not received"
    CONNECTING = "the handshake is not answered"
    DENYING = "a response is begun in place of the WebSocket"
    OPEN = "the WebSocket is open"
    CLOSED = "the WebSocket is closed"


class WebSocketCall:
    """The `receive` and `send` of one WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._state = _State.NEW
        self._status = 0
        self._fields: RawHeaders = []
        self._body = bytearray()
        self._answered = asyncio.Event()

    async def receive(self) -> Message:
        """Return the next event: connect, a message, or, at the end and from then on, disconnect."""
        if self._state is _State.NEW:
            self._state = _State.CONNECTING
            return {"type": "websocket.connect"}
        if self._state is not _State.CLOSED and not self._answered.is_set():
            await self._until_answered()
        if self._state is _State.OPEN:
            try:
                data = await self._socket.receive()
            except WebSocketClosed:
                pass
            else:
                if isinstance(data, str):
                    return {"type": "websocket.receive", "text": data, "bytes": None}
                return {"type": "websocket.receive", "text": None, "bytes": data}
        self._state = _State.CLOSED
        code = self._socket.close_code or 1006
        return {"type": "websocket.disconnect", "code": code, "reason": self._socket.close_reason}

    async def send(self, message: Message) -> None:
        """Send what the message says; the errors are those of `HttpCall.send`."""
        kind = message["type"]
        state = self._state
        try:
            if kind == "websocket.send" and state is _State.OPEN:
                text = message.get("text")
                data = message.get("bytes") if text is None else text
                if data is None:
                    raise ValueError("a 'websocket.send' has text or bytes")
                await self._socket.send(data)
            elif kind == "websocket.accept" and state in {_State.NEW, _State.CONNECTING}:
                fields = checked_fields(message.get("headers", ()))
                await self._socket.accept(message.get("subprotocol"), fields)
                self._state = _State.OPEN
                self._answered.set()
            elif kind == "websocket.close" and state is not _State.DENYING:
                await self._close(message)
            elif kind == "websocket.http.response.start" and state in {_State.NEW, _State.CONNECTING}:
                self._status = int(message["status"])
                self._fields = checked_fields(message.get("headers", ()))
                self._state = _State.DENYING
            elif kind == "websocket.http.response.body" and state is _State.DENYING:
                self._body += message.get("body", b"")
                if not message.get("more_body", False):
                    await self._deny(Response.from_raw(self._status, self._fields, bytes(self._body)))
            elif state is _State.CLOSED:
                raise ClientDisconnected("the WebSocket is closed")
            else:
                raise RuntimeError(
                    f"{kind!r} was sent while {state.value}: the server does not expect it there"
                )
        except WebSocketClosed as closed:
            self._state = _State.CLOSED
            raise ClientDisconnected(str(closed)) from None

    async def _until_answered(self) -> None:
        """Wait for the answer to the handshake, which another task may give, or for the client to leave."""
        await until_one_ends(self._answered.wait(), self._socket.disconnect())

    async def _close(self, message: Message) -> None:
        if self._state is _State.CLOSED:
            raise ClientDisconnected("the WebSocket is closed")
        if self._state is not _State.OPEN:
            await self._deny(Response.problem(403, "the application did not accept the WebSocket"))
            return
        self._state = _State.CLOSED
        await self._socket.close(message.get("code", 1000), message.get("reason") or "")

    async def _deny(self, response: Response) -> None:
        self._state = _State.CLOSED
        self._answered.set()
        response.headers.raw += additions(self._socket.request, response.headers.raw)
        await self._socket.reject(response)
