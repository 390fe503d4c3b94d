"""The WebSocket codec of one connection after its handshake: frames in, messages out, and back.

    for event in codec.feed(data): ...     # Message, Pong or Closed
    transport.write(codec.take_output())   # pongs, which the protocol owes
    transport.write(codec.message("text"))
    transport.write(codec.finish())        # after Closed: the close frame that is owed for it

Whole messages in frames of their own, uncompressed, are taken as they are; wsproto reads everything else.
The codec joins fragments, holds messages to their limits and keeps the rules of closing (RFC 6455, 5.5.1, 7).
"""

from __future__ import annotations

import dataclasses
import io
import os
import struct

from wsproto.extensions import Extension
from wsproto.frame_protocol import (
    CloseReason,
    Frame,
    FrameDecoder,
    MessageDecoder,
    Opcode,
    ParseFailed,
    RsvBits,
)

from pierhead.protocols.websocket.deflate import Deflate

__all__ = ["Closed", "Message", "Pong", "WebSocketCodec", "WebSocketEvent"]

_NO_CODE = 1005  # stands for a close frame without a code, and is never sent (RFC 6455, 7.4.1)
_TOO_BIG = 1009
_REASON_BYTES = 123
_REASONS = {"error in extension": "a message is not compressed as it says"}  # instead of wsproto's words
_FIN = 0x80
_MASKED = 0x80
_COMPRESSED = 0x40
_TEXT = 0x81  # the first byte of a whole text message: FIN and the opcode
_BINARY = 0x82


@dataclasses.dataclass(slots=True)  # not frozen, which takes longer to make
class Message:
    """A whole message: `str` for text, `bytes` for binary."""

    data: str | bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Pong:
    """The peer answered a ping, or sent an unasked heartbeat."""

    payload: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Closed:
    """The WebSocket is closed: by the peer's close frame, or because the peer broke the protocol.

    Nothing more is read. `WebSocketCodec.finish` renders the answer; until then messages may still be sent.
    """

    code: int
    reason: str
    by_peer: bool


WebSocketEvent = Message | Pong | Closed


class WebSocketCodec:
    """Reads and writes the frames of one WebSocket, as server or, for tests and tools, as client.

    A message over `max_message_bytes`, or in more than `max_fragments` frames, fails the WebSocket with 1009;
    so does a frame that announces more than the first, before its payload is read.
    """

    def __init__(
        self,
        max_message_bytes: int,
        deflate: Deflate | None = None,
        *,
        max_fragments: int = 100_000,
        client: bool = False,
    ) -> None:
        self._client = client
        self._deflate = deflate
        self._max_message_bytes = max_message_bytes
        self._max_fragments = max_fragments
        self._size_limit = _SizeLimit(max_message_bytes)
        extensions: list[Extension] = [self._size_limit]
        if deflate is not None:
            deflate.room = max_message_bytes
            extensions.append(deflate)
        self._frames = FrameDecoder(client, extensions)
        self._messages = MessageDecoder()
        self._text: io.StringIO | None = None  # the fragments of a message so far
        self._binary = bytearray()
        self._message_bytes = 0
        self._fragments = 0
        self._output = bytearray()
        self._closed: Closed | None = None
        self._close_sent = False

    @property
    def closed(self) -> bool:
        """Whether the peer closed, or broke the protocol: nothing more is read."""
        return self._closed is not None

    @property
    def close_sent(self) -> bool:
        """Whether a close frame went out, after which nothing else may (RFC 6455, 5.5.1)."""
        return self._close_sent

    def feed(self, data: bytes) -> list[WebSocketEvent]:
        """Take bytes as they come and return what they complete."""
        events: list[WebSocketEvent] = []
        if self._closed is None:
            taken = 0
            if self._at_a_message and not len(self._frames.buffer):
                taken = self._take_whole_messages(data, events)
            if taken < len(data):
                self._frames.receive_bytes(data[taken:] if taken else data)
                self._read(events)
        return events

    def take_output(self) -> bytes:
        """Return what the protocol itself has to say since the last call: pongs."""
        if not self._output:
            return b""
        output = bytes(self._output)
        self._output.clear()
        return output

    def message(self, data: str | bytes) -> bytes:
        """Render a message; b"" once a close frame went out."""
        if self._close_sent:
            return b""
        payload, first = (data.encode(), _TEXT) if isinstance(data, str) else (data, _BINARY)
        if self._deflate is not None:
            payload = self._deflate.compress(payload)
            first |= _COMPRESSED
        return self._frame(first, payload)

    def ping(self, payload: bytes = b"") -> bytes:
        """Render a ping of at most 125 bytes; b"" once a close frame went out."""
        return b"" if self._close_sent else self._frame(_FIN | Opcode.PING, payload)

    def close(self, code: int, reason: str = "") -> bytes:
        """Render a close frame; b"" where one went out already. The reason is cut to what fits."""
        if self._close_sent:
            return b""
        self._close_sent = True
        self._output.clear()
        if code == _NO_CODE:
            return self._frame(_FIN | Opcode.CLOSE, b"")
        text = reason.encode()[:_REASON_BYTES].decode(errors="ignore").encode()  # whole characters only
        return self._frame(_FIN | Opcode.CLOSE, struct.pack("!H", code) + text)

    def finish(self) -> bytes:
        """Render the close frame owed since Closed was returned; b"" where none is owed any more."""
        return b"" if self._closed is None else self.close(self._closed.code, self._closed.reason)

    @property
    def _at_a_message(self) -> bool:
        """Whether the next byte begins a frame, and it a message."""
        return self._frames.header is None and self._messages.opcode is None and not self._client

    def _take_whole_messages(self, data: bytes | bytearray, events: list[WebSocketEvent]) -> int:
        """Take masked, final, uncompressed frames of less than 64 KiB off the front; return their length.

        It stops at the first one that is anything else, incomplete, over the limit or no UTF-8.
        """
        at = 0
        have = len(data)
        while at + 6 <= have:
            first, size = data[at], data[at + 1] - _MASKED
            begin = at + 6
            if size == 126:
                size = int.from_bytes(data[at + 2 : at + 4], "big")
                begin = at + 8
                if size < 126:
                    break  # not the shortest form
            elif size == 127:
                break
            end = begin + size
            if size < 0 or end > have or size > self._max_message_bytes:
                break
            if first == _TEXT:
                try:
                    events.append(Message(_xor(data[begin:end], data[begin - 4 : begin]).decode()))
                except UnicodeDecodeError:
                    break
            elif first == _BINARY:
                events.append(Message(_xor(data[begin:end], data[begin - 4 : begin])))
            else:
                break
            at = end
        return at

    def _read(self, events: list[WebSocketEvent]) -> None:
        """Have wsproto read what it was fed."""
        try:
            while self._closed is None:
                if self._at_a_message:
                    waiting = self._frames.buffer.buffer
                    del waiting[: self._take_whole_messages(waiting, events)]
                frame = self._frames.process_buffer()
                if frame is None:
                    break
                if frame.opcode.iscontrol():
                    assert isinstance(frame.payload, bytes)
                    self._control(frame.opcode, frame.payload, events)
                elif not self._collect(self._decoded(frame), events):
                    self._closed = Closed(_TOO_BIG, self._too_big(), by_peer=False)
                    events.append(self._closed)
        except ParseFailed as error:
            reason = self._too_big() if error.code == _TOO_BIG else _REASONS.get(str(error), str(error))
            self._closed = Closed(int(error.code), reason, by_peer=False)
            events.append(self._closed)

    def _decoded(self, frame: Frame) -> Frame:
        """Give a data frame its place in its message, and text as text."""
        try:
            return self._messages.process_frame(frame)
        except ParseFailed as error:
            if error.code != CloseReason.INVALID_FRAME_PAYLOAD_DATA:
                raise
            raise ParseFailed("a text message is not UTF-8", error.code) from error

    def _control(self, opcode: Opcode, payload: bytes, events: list[WebSocketEvent]) -> None:
        if opcode is Opcode.PING:
            if not self._close_sent:
                self._output += self._frame(_FIN | Opcode.PONG, payload)
        elif opcode is Opcode.PONG:
            events.append(Pong(payload))
        else:
            self._closed = _read_close(payload)
            events.append(self._closed)

    def _collect(self, frame: Frame, events: list[WebSocketEvent]) -> bool:
        """Add a piece to the current message; False where it becomes too long."""
        piece = frame.payload
        if isinstance(piece, str):
            self._message_bytes += len(piece) if piece.isascii() else len(piece.encode())
            if self._text is None:
                self._text = io.StringIO()
            self._text.write(piece)
        else:
            assert isinstance(piece, bytes)
            self._message_bytes += len(piece)
            self._binary += piece
        self._fragments += frame.frame_finished
        if self._message_bytes > self._max_message_bytes or self._fragments > self._max_fragments:
            return False
        room = self._max_message_bytes - self._message_bytes
        if frame.message_finished:
            events.append(Message(bytes(self._binary) if self._text is None else self._text.getvalue()))
            self._text = None
            self._binary = bytearray()
            self._message_bytes = self._fragments = 0
            room = self._max_message_bytes
        self._size_limit.room = room
        if self._deflate is not None:
            self._deflate.room = room
        return True

    def _too_big(self) -> str:
        if self._fragments > self._max_fragments:
            return f"a message has more than {self._max_fragments} fragments"
        return f"a message is longer than {self._max_message_bytes} bytes"

    def _frame(self, first: int, payload: bytes) -> bytes:
        """Render a frame (RFC 6455, 5.2)."""
        size = len(payload)
        mask_bit = _MASKED if self._client else 0
        if size < 126:
            head = bytes((first, mask_bit | size))
        elif size < 1 << 16:
            head = struct.pack("!BBH", first, mask_bit | 126, size)
        else:
            head = struct.pack("!BBQ", first, mask_bit | 127, size)
        if self._client:
            mask = os.urandom(4)
            return head + mask + _xor(payload, mask)
        return head + payload


class _SizeLimit(Extension):
    """Refuses a frame by its header, before any of a payload that is too long is read."""

    def __init__(self, room: int) -> None:
        self.room = room
        """How many bytes the current message may still have."""

    def offer(self) -> bool:  # pragma: no cover - abstract in wsproto, whose negotiation is not used
        """Offer nothing; see wsproto.extensions.Extension."""
        return False

    def frame_inbound_header(
        self, proto: object, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Compare a data frame's length with the room; compressed it may be longer than what it becomes."""
        room = 2 * self.room + 1024 if rsv.rsv1 or opcode is Opcode.CONTINUATION else self.room
        if payload_length > room and not opcode.iscontrol():
            return CloseReason.MESSAGE_TOO_BIG
        return RsvBits(False, False, False)


def _read_close(payload: bytes) -> Closed:
    """Take a close frame's payload apart; raises ParseFailed for one that is malformed (RFC 6455, 7.4)."""
    if not payload:
        return Closed(_NO_CODE, "", by_peer=True)
    if len(payload) == 1:
        raise ParseFailed("a close frame's payload has one byte")
    code = int.from_bytes(payload[:2], "big")
    # 1004 to 1006 and 1015 are never sent; those above, up to 2999, are not assigned.
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise ParseFailed(f"{code} is no close code that may be sent")
    try:
        return Closed(code, payload[2:].decode(), by_peer=True)
    except UnicodeDecodeError as error:
        raise ParseFailed(
            "a close frame's reason is not UTF-8", CloseReason.INVALID_FRAME_PAYLOAD_DATA
        ) from error


def _xor(payload: bytes | bytearray, mask: bytes | bytearray) -> bytes:
    """Mask, or unmask, a payload (RFC 6455, 5.3); as one large number, which is linear and fast."""
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
