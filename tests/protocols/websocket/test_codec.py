"""The WebSocket codec: messages, control frames, closing, limits; with raw frames where it matters."""

from __future__ import annotations

import struct
import zlib

import pytest

from pierhead.protocols.websocket import Closed, Message, Pong, WebSocketCodec, WebSocketEvent
from pierhead.protocols.websocket.deflate import negotiate

FIN, RSV1 = 0x80, 0x40
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
    """Render a masked frame, as a client sends it (with the mask 0, which changes nothing)."""
    first = opcode | (FIN if fin else 0) | (RSV1 if rsv1 else 0)
    if len(payload) < 126:
        size = bytes([0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        size = bytes([0x80 | 126]) + struct.pack("!H", len(payload))
    else:
        size = bytes([0x80 | 127]) + struct.pack("!Q", len(payload))
    return bytes([first]) + size + bytes(4) + payload


def close(code: int, reason: bytes = b"") -> bytes:
    return struct.pack("!H", code) + reason


def feed(data: bytes, step: int = 0, codec: WebSocketCodec | None = None) -> list[WebSocketEvent]:
    codec = codec or WebSocketCodec(1000)
    events = []
    for start in range(0, len(data), step or len(data)):
        events += codec.feed(data[start : start + (step or len(data))])
    return events


def test_messages() -> None:
    data = frame(TEXT, "grün".encode()) + frame(BINARY, b"\0\1") + frame(TEXT)
    expected = [Message("grün"), Message(b"\0\1"), Message("")]
    assert feed(data) == expected
    assert feed(data, step=1) == expected


def test_fragments_make_one_message_with_control_frames_between() -> None:
    codec = WebSocketCodec(1000)
    data = frame(TEXT, b"gr\xc3", fin=False) + frame(PING, b"hi") + frame(CONTINUATION, b"\xbcn")
    assert feed(data, step=3, codec=codec) == [Message("grün")]
    assert codec.take_output() == b"\x8a\x02hi"
    assert codec.take_output() == b""


def test_a_pong_is_reported() -> None:
    assert feed(frame(PONG, b"x")) == [Pong(b"x")]


def test_the_peers_close_is_answered_with_its_code() -> None:
    codec = WebSocketCodec(1000)
    assert codec.feed(frame(CLOSE, close(1000, b"bye"))) == [Closed(1000, "bye", by_peer=True)]
    assert codec.take_output() == b"\x88\x05" + close(1000, b"bye")
    assert codec.closed
    assert codec.feed(frame(TEXT, b"late")) == []
    assert codec.message("late") == b""
    assert codec.ping() == b""
    assert codec.close(1000) == b""


def test_a_close_without_a_code_is_1005() -> None:
    codec = WebSocketCodec(1000)
    assert codec.feed(frame(CLOSE)) == [Closed(1005, "", by_peer=True)]
    assert codec.take_output() == b"\x88\x00"


def test_our_close_is_complete_with_the_peers() -> None:
    codec = WebSocketCodec(1000)
    assert codec.close(1001, "stopping") == b"\x88\x0a" + close(1001, b"stopping")
    assert codec.close_sent
    assert not codec.closed
    # What the peer had sent before it saw the close is still delivered, but no ping is answered.
    assert codec.feed(frame(TEXT, b"last") + frame(PING) + frame(CLOSE, close(1001))) == [
        Message("last"),
        Closed(1001, "", by_peer=True),
    ]
    assert codec.take_output() == b""


@pytest.mark.parametrize(
    ("code", "data"),
    [
        (1002, b"\x81\x00"),  # not masked
        (1002, frame(3)),  # reserved opcodes
        (1002, frame(11)),
        (1002, frame(TEXT, b"x", rsv1=True)),  # a reserved bit without an extension
        (1002, bytes([FIN | 0x20 | TEXT, 0x80]) + bytes(4)),
        (1002, frame(PING, b"x", fin=False)),  # a fragmented control frame
        (
            1002,
            bytes([FIN | PING, 0x80 | 126]) + struct.pack("!H", 126) + bytes(4),
        ),  # too long a control frame
        (1002, frame(CONTINUATION, b"x")),  # nothing to continue
        (1002, frame(TEXT, b"x", fin=False) + frame(TEXT, b"y")),  # a message inside a message
        (1002, bytes([FIN | TEXT, 0x80 | 126]) + struct.pack("!H", 1) + bytes(4)),  # not the shortest length
        (1002, bytes([FIN | TEXT, 0x80 | 127]) + struct.pack("!Q", 1 << 63) + bytes(4)),
        (1002, frame(CLOSE, b"\x03")),  # half a close code
        (1002, frame(CLOSE, close(999))),
        (1002, frame(CLOSE, close(1005))),
        (1002, frame(CLOSE, close(1006))),
        (1002, frame(CLOSE, close(2999))),
        (1002, frame(CLOSE, close(5000))),
        (1007, frame(CLOSE, close(1000, b"\xff"))),
        (1007, frame(TEXT, b"\xff")),
        (1007, frame(TEXT, b"gr\xc3")),  # ends inside a character
        (1007, frame(TEXT, b"\xed\xa0\x80")),  # a surrogate
        (1009, frame(BINARY, b"x" * 1001)),
        (1009, frame(BINARY, b"x" * 600, fin=False) + frame(CONTINUATION, b"x" * 600)),
        (1009, frame(TEXT, "ü".encode() * 501)),
    ],
)
def test_a_peer_that_breaks_the_rules_is_told_and_left(code: int, data: bytes) -> None:
    for step in (0, 1):
        codec = WebSocketCodec(1000)
        (closed,) = feed(data, step, codec)
        assert isinstance(closed, Closed)
        assert (closed.code, closed.by_peer) == (code, False)
        assert codec.take_output()[:4][-2:] == close(code)
        assert codec.closed


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1013, 3000, 4999])
def test_close_codes_a_peer_may_send(code: int) -> None:
    assert feed(frame(CLOSE, close(code))) == [Closed(code, "", by_peer=True)]


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressing(max_message_bytes: int = 10_000) -> WebSocketCodec:
    extension, _ = negotiate([b"permessage-deflate; client_no_context_takeover"])
    assert extension is not None
    return WebSocketCodec(max_message_bytes, [extension])


def test_a_compressed_message_in_fragments_with_a_ping_between() -> None:
    data = deflated(b"hello " * 100)
    stream = (
        frame(TEXT, data[:5], fin=False, rsv1=True)
        + frame(PING)
        + frame(CONTINUATION, data[5:])
        + frame(TEXT, b"plain")
        + frame(TEXT, deflated(b"again"), rsv1=True)
    )
    expected = [Message("hello " * 100), Message("plain"), Message("again")]
    assert feed(stream, codec=compressing()) == expected
    assert feed(stream, step=1, codec=compressing()) == expected


def test_a_compression_bomb_is_stopped_at_the_limit() -> None:
    bomb = deflated(bytes(50_000_000))
    codec = compressing(1_000_000)
    (closed,) = codec.feed(frame(BINARY, bomb, rsv1=True))
    assert isinstance(closed, Closed)
    assert closed.code == 1009


def test_garbage_in_the_place_of_compressed_data() -> None:
    codec = compressing()
    (closed,) = codec.feed(frame(TEXT, b"\xff\xff\xff\xff", rsv1=True))
    assert isinstance(closed, Closed)
    assert closed.code == 1007


def test_a_control_frame_is_never_compressed() -> None:
    (closed,) = compressing().feed(frame(PING, b"x", rsv1=True))
    assert isinstance(closed, Closed)
    assert closed.code == 1002


def test_what_is_sent_is_compressed() -> None:
    codec = compressing()
    data = codec.message("hello " * 100)
    assert data[0] == FIN | RSV1 | TEXT
    assert zlib.decompressobj(wbits=-15).decompress(data[2:] + b"\0\0\xff\xff") == b"hello " * 100
