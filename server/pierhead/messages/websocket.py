"""WebSocket: one conversation as an application sees it (RFC 6455)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from pierhead.errors import ClientDisconnected, WebSocketClosed
from pierhead.messages.headers import HeaderItems

if TYPE_CHECKING:
    from pierhead.messages.request import Request
    from pierhead.messages.response import Response

__all__ = ["WebSocket", "WebSocketChannel"]


class WebSocketChannel(Protocol):
    """Moves a WebSocket's messages; implemented by the transports."""

    async def accept(self, subprotocol: str | None, headers: HeaderItems) -> None:
        """Send the 101 response."""
        ...

    async def reject(self, response: Response) -> None:
        """Send `response` instead of 101."""
        ...

    async def disconnect(self) -> None:
        """Wait until the client has left; raises WebSocketClosed then."""
        ...

    async def receive(self) -> str | bytes:
        """Return the next whole message; raises WebSocketClosed at the end."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send one message and wait while the peer does not take it."""
        ...

    async def ping(self, payload: bytes) -> None:
        """Send a ping frame."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame and wait, for a bounded time, for the peer's."""
        ...


class WebSocket:
    """A WebSocket from its opening handshake to its close.

    A handler first calls `accept` (or `reject`); the first `receive` or `send` accepts where the handler
    did not. It may return without closing: the close code is then 1000.
    """

    def __init__(self, request: Request, channel: WebSocketChannel, subprotocols: Iterable[str] = ()) -> None:
        self.request = request
        self.subprotocols = tuple(subprotocols)
        """The subprotocols the client offers, in its order of preference."""
        self.subprotocol: str | None = None
        """The one that was accepted."""
        self.close_code: int | None = None
        """The code of the close, None while the WebSocket is open."""
        self.close_reason = ""
        self._channel = channel
        self._answered = False
        self._rejected = False

    @property
    def channel(self) -> WebSocketChannel:
        """What moves its messages."""
        return self._channel

    @property
    def accepted(self) -> bool:
        """Whether the 101 response was sent."""
        return self._answered and not self._rejected

    @property
    def answered(self) -> bool:
        """Whether the handshake was accepted or rejected."""
        return self._answered

    def given_away(self) -> None:
        """Note that somebody else answers the handshake and goes on: here it is closed."""
        self._answered = True
        self._closed(1006, "it was given away")

    async def accept(self, subprotocol: str | None = None, headers: HeaderItems = ()) -> None:
        """Complete the handshake, with `headers` and the request's `response_headers` in the 101 response.

        Raises ValueError for a subprotocol the client did not offer (RFC 6455, 4.2.2), RuntimeError when the
        handshake was already answered, WebSocketClosed when the client went away.
        """
        if self._answered:
            raise RuntimeError("the WebSocket handshake was already answered")
        if subprotocol is not None and subprotocol not in self.subprotocols:
            offered = ", ".join(self.subprotocols) or "none"
            raise ValueError(f"the client does not offer subprotocol {subprotocol!r}; it offers: {offered}")
        given = headers.items() if isinstance(headers, Mapping) else headers
        headers = [*given, *self.request.response_headers.items()]
        self._answered = True
        self.subprotocol = subprotocol
        try:
            await self._channel.accept(subprotocol, headers)
        except WebSocketClosed as closed:
            self._closed(closed.code, closed.reason)
            raise
        except Exception:  # such as a field that cannot be sent: the client still waits for an answer
            self._answered = False
            self.subprotocol = None
            raise

    async def reject(self, response: Response) -> None:
        """Answer the handshake with an ordinary response instead, for example 403."""
        if self._answered:
            raise RuntimeError("the WebSocket handshake was already answered")
        self._answered = self._rejected = True
        try:
            await self._channel.reject(response)
        except (ClientDisconnected, WebSocketClosed):
            raise
        except Exception:  # it cannot be sent: the client still waits for an answer
            self._answered = self._rejected = False
            raise
        finally:
            if self._answered:
                self._closed(1006, "the handshake was rejected")

    async def disconnect(self) -> None:
        """Wait for the client to leave before its handshake is answered; raises WebSocketClosed then."""
        if self._answered:
            raise RuntimeError("the WebSocket handshake was already answered")
        try:
            await self._channel.disconnect()
        except WebSocketClosed as closed:
            self._closed(closed.code, closed.reason)
            raise

    async def receive(self) -> str | bytes:
        """Return the next message: `str` for text, `bytes` for binary; raises WebSocketClosed at the end."""
        if self.close_code is not None or not self._answered:
            await self._ready()
        try:
            return await self._channel.receive()
        except WebSocketClosed as closed:
            self._closed(closed.code, closed.reason)
            raise

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield messages until the WebSocket is closed, whatever the close code (see `close_code`)."""
        while True:
            try:
                message = await self.receive()
            except WebSocketClosed:
                return
            yield message

    async def send(self, message: str | bytes) -> None:
        """Send a text (`str`) or binary (`bytes`) message; waits while the peer is slow.

        Raises WebSocketClosed once the WebSocket is closed.
        """
        if self.close_code is not None or not self._answered:
            await self._ready()
        try:
            await self._channel.send(message)
        except WebSocketClosed as closed:
            self._closed(closed.code, closed.reason)
            raise

    async def ping(self, payload: bytes = b"") -> None:
        """Send a ping of at most 125 bytes; the server pings by itself, so this is rarely needed.

        Raises WebSocketClosed once the WebSocket is closed.
        """
        if len(payload) > 125:
            raise ValueError(f"a ping carries at most 125 bytes (RFC 6455, 5.5), not {len(payload)}")
        await self._ready()
        try:
            await self._channel.ping(payload)
        except WebSocketClosed as closed:
            self._closed(closed.code, closed.reason)
            raise

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with `code` (1000, 1001, 1003, 1007 to 1014, 3000 to 4999) and at most 123 bytes of `reason`.

        Closing what is closed already does nothing. A handshake not yet answered is accepted first, so that
        the client learns the code.
        """
        if not (code in {1000, 1001, 1003} or 1007 <= code <= 1014 or 3000 <= code <= 4999):
            raise ValueError(f"{code} is no close code that can be sent (RFC 6455, 7.4)")
        if len(reason.encode()) > 123:
            raise ValueError("a close reason is at most 123 bytes of UTF-8 (RFC 6455, 5.5)")
        if self.close_code is not None:
            return
        await self._ready()
        await self._channel.close(code, reason)
        self._closed(code, reason)

    async def _ready(self) -> None:
        if self.close_code is not None:
            raise WebSocketClosed(self.close_code, self.close_reason)
        if not self._answered:
            await self.accept()

    def _closed(self, code: int, reason: str) -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
