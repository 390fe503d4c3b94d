"""The WebSocket codec of one connection after its handshake: frames in, messages out, and back.

    for event in codec.feed(data): ...     # Message, Pong or Closed
    transport.write(codec.take_output())   # pongs and the answer to a close, which the protocol owes
    transport.write(codec.message("text"))

wsproto reads and writes the frames; the codec joins fragments, holds messages to their limit and keeps the
rules of closing (RFC 6455, 5.5.1 and 7).
"""

from __future__ import annotations

import dataclasses

from wsproto import ConnectionType
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.events import Pong as PongFrame
from wsproto.extensions import Extension

__all__ = ["Closed", "Message", "Pong", "WebSocketCodec", "WebSocketEvent"]

# wsproto inflates whatever it is fed at one go; deflate at its best makes 1 byte into 1032, so that a
# piece of this size is never more than 4 MiB before its message is held to the limit.
_PIECE_BYTES = 4 << 10

_TOO_BIG = 1009


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """A whole message: `str` for text, `bytes` for binary."""

    data: str | bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Pong:
    """The peer answered a ping, or sent an unasked heartbeat."""

    payload: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Closed:
    """The WebSocket is closed: by the peer's close frame, or because the peer broke the protocol."""

    code: int
    reason: str
    by_peer: bool


WebSocketEvent = Message | Pong | Closed


class WebSocketCodec:
    """Reads and writes the frames of one WebSocket, as server or, for tests and tools, as client."""

    def __init__(
        self, max_message_bytes: int, extensions: list[Extension] | None = None, *, client: bool = False
    ) -> None:
        kind = ConnectionType.CLIENT if client else ConnectionType.SERVER
        self._connection = Connection(kind, extensions or [])
        self._max_message_bytes = max_message_bytes
        self._text: list[str] = []
        self._binary: list[bytes] = []
        self._message_bytes = 0
        self._output = bytearray()
        self._closed = False
        self._close_sent = False

    @property
    def closed(self) -> bool:
        """Whether the closing handshake is over, or the peer broke the protocol: nothing more is read."""
        return self._closed

    @property
    def close_sent(self) -> bool:
        """Whether a close frame went out, after which nothing else may (RFC 6455, 5.5.1)."""
        return self._close_sent

    def feed(self, data: bytes) -> list[WebSocketEvent]:
        """Take bytes as they come and return what they complete."""
        events: list[WebSocketEvent] = []
        for start in range(0, len(data), _PIECE_BYTES):
            if self._closed:
                break
            self._connection.receive_data(data[start : start + _PIECE_BYTES])
            self._read(events)
        return events

    def take_output(self) -> bytes:
        """Return what the protocol itself has to say since the last call: pongs, a close frame."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def message(self, data: str | bytes) -> bytes:
        """Render a message; b"" once a close frame went out."""
        if self._close_sent:
            return b""
        frame = TextMessage(data) if isinstance(data, str) else BytesMessage(data)
        return self._connection.send(frame)

    def ping(self, payload: bytes = b"") -> bytes:
        """Render a ping of at most 125 bytes; b"" once a close frame went out."""
        return b"" if self._close_sent else self._connection.send(Ping(payload))

    def close(self, code: int, reason: str = "") -> bytes:
        """Render a close frame; b"" where one went out already."""
        if self._close_sent:
            return b""
        self._close_sent = True
        # wsproto sends no reason beside 1005, which stands for 'no code at all' and is not sent itself.
        return self._connection.send(CloseConnection(code, reason or None))

    def _read(self, events: list[WebSocketEvent]) -> None:
        for event in self._connection.events():
            if isinstance(event, Ping):
                if not self._close_sent:
                    self._output += self._connection.send(event.response())
            elif isinstance(event, PongFrame):
                events.append(Pong(bytes(event.payload)))
            elif isinstance(event, CloseConnection):
                self._closing(event, events)
                return
            elif isinstance(event, TextMessage | BytesMessage) and not self._collect(event, events):
                self._fail(_TOO_BIG, f"a message is longer than {self._max_message_bytes} bytes", events)
                return

    def _collect(self, frame: TextMessage | BytesMessage, events: list[WebSocketEvent]) -> bool:
        """Add a piece to the current message; False where it becomes too long."""
        if isinstance(frame, TextMessage):
            self._message_bytes += len(frame.data) if frame.data.isascii() else len(frame.data.encode())
            if frame.data:
                self._text.append(frame.data)
        else:
            self._message_bytes += len(frame.data)
            if frame.data:
                self._binary.append(bytes(frame.data))
        if self._message_bytes > self._max_message_bytes:
            return False
        if frame.message_finished:
            whole = "".join(self._text) if isinstance(frame, TextMessage) else b"".join(self._binary)
            events.append(Message(whole))
            self._text.clear()
            self._binary.clear()
            self._message_bytes = 0
        return True

    def _closing(self, event: CloseConnection, events: list[WebSocketEvent]) -> None:
        """Take a close frame, or wsproto's word that the peer broke the protocol."""
        code, reason = int(event.code), event.reason or ""
        if self._connection.state in {ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING}:
            self._fail(code, reason, events)
            return
        if self._connection.state is ConnectionState.REMOTE_CLOSING:
            self._close_sent = True
            self._output += self._connection.send(event.response())
        self._closed = True
        events.append(Closed(code, reason, by_peer=True))

    def _fail(self, code: int, reason: str, events: list[WebSocketEvent]) -> None:
        """Fail the WebSocket (RFC 6455, 7.1.7): say why, read nothing more."""
        self._output += self.close(code, reason)
        self._closed = True
        events.append(Closed(code, reason, by_peer=False))
