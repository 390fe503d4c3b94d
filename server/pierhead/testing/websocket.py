"""The client's end of a WebSocket."""

from __future__ import annotations

from pierhead.errors import WebSocketClosed
from pierhead.messages.headers import Headers
from pierhead.protocols.websocket import Closed, Message, WebSocketCodec
from pierhead.testing.responses import ClientResponse
from pierhead.testing.runner import Runner
from pierhead.transports.memory import MemoryTransport

__all__ = ["ClientWebSocket", "WebSocketRejected"]


class WebSocketRejected(ConnectionError):
    """The application answered a WebSocket handshake with an ordinary `response`."""

    def __init__(self, response: ClientResponse) -> None:
        super().__init__(f"the WebSocket was rejected with {response.status} {response.reason}")
        self.response = response


class ClientWebSocket:
    """The client's end of a WebSocket."""

    def __init__(self, client: Runner, transport: MemoryTransport, headers: Headers, ahead: bytes) -> None:
        self.headers = headers
        """The header fields of the 101 response."""
        self.subprotocol = headers.get("Sec-WebSocket-Protocol")
        self._client = client
        self._transport = transport
        self._codec = WebSocketCodec(1 << 30, client=True)
        self._messages: list[str | bytes] = []
        self._closed: WebSocketClosed | None = None
        self._feed(ahead)

    def send(self, message: str | bytes) -> None:
        """Send a message: text for `str`, binary for `bytes`."""
        self._client._do(self._transport.send, self._codec.message(message))

    def receive(self) -> str | bytes:
        """Return the next message; raises WebSocketClosed with the server's code at the end."""
        while not self._messages:
            if self._closed is not None:
                raise self._closed
            self._feed(self._client._call(self._transport.receive()) or None)
        return self._messages.pop(0)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close and wait for the server's close; does nothing once closed."""
        if self._closed is None:
            self._client._do(self._transport.send, self._codec.close(code, reason))
            while self._closed is None:
                self._feed(self._client._call(self._transport.receive()) or None)

    @property
    def close_code(self) -> int | None:
        """The code the WebSocket was closed with, None while it is open."""
        return None if self._closed is None else self._closed.code

    def _feed(self, data: bytes | None) -> None:
        if data is None:
            self._closed = self._closed or WebSocketClosed(1006, "the server closed the connection")
            return
        for event in self._codec.feed(data):
            if isinstance(event, Message):
                self._messages.append(event.data)
            elif isinstance(event, Closed):
                self._closed = WebSocketClosed(event.code, event.reason)
        if output := self._codec.take_output() + self._codec.finish():
            self._client._do(self._transport.send, output)
