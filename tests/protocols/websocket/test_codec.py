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
    assert codec.closed
    assert codec.message("last") == b"\x81\x04last"  # what was asked before may still be answered
    assert codec.finish() == b"\x88\x05" + close(1000, b"bye")
    assert codec.finish() == b""
    assert codec.feed(frame(TEXT, b"late")) == []
    assert codec.message("late") == b""
    assert codec.ping() == b""
    assert codec.close(1000) == b""


def test_a_close_without_a_code_is_1005() -> None:
    codec = WebSocketCodec(1000)
    assert codec.feed(frame(CLOSE)) == [Closed(1005, "", by_peer=True)]
    assert codec.finish() == b"\x88\x00"


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
        (1002, bytes([FIN | TEXT, 0x80 | 126]) + struct.pack("!H", 125) + bytes(4) + b"x" * 125),
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
        assert codec.finish()[2:4] == close(code)
        assert codec.closed


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1013, 1014, 3000, 4999])
def test_close_codes_a_peer_may_send(code: int) -> None:
    assert feed(frame(CLOSE, close(code))) == [Closed(code, "", by_peer=True)]


def test_a_frame_that_announces_too_much_is_refused_by_its_header() -> None:
    header = bytes([FIN | BINARY, 0x80 | 127]) + struct.pack("!Q", 1 << 40)
    (closed,) = feed(header + bytes(4), step=1)
    assert closed == Closed(1009, "a message is longer than 1000 bytes", by_peer=False)


def test_fragments_are_counted_even_if_they_are_empty() -> None:
    codec = WebSocketCodec(1000, max_fragments=3)
    again = frame(CONTINUATION, fin=False)
    assert feed(frame(TEXT, b"a", fin=False) + again + frame(CONTINUATION, b"b"), codec=codec) == [
        Message("ab")
    ]
    (closed,) = feed(frame(TEXT, b"a", fin=False) + again * 3, codec=codec)
    assert closed == Closed(1009, "a message has more than 3 fragments", by_peer=False)


def test_whole_messages_and_others_take_turns() -> None:
    """Those that are taken as they are, and those that wsproto reads, in one stream, split anywhere."""
    long = b"x" * 300
    stream = frame(TEXT, b"a") + frame(PING) + frame(BINARY, long) + frame(TEXT, b"b", fin=False)
    stream += frame(CONTINUATION, b"\r\n") + frame(TEXT, b"") + frame(BINARY, long[:126]) + frame(TEXT, b"c")
    expected = [Message("a"), Message(long), Message("b\r\n"), Message(""), Message(long[:126]), Message("c")]
    for step in (0, 1, 2, 7, 100):
        assert feed(stream, step) == expected


def test_a_client_masks_and_a_server_reads_it() -> None:
    client, server = WebSocketCodec(1 << 20, client=True), WebSocketCodec(1 << 20)
    messages: list[str | bytes] = ["", "grün", b"\0" * 126, "x" * 65536]
    for message in messages:
        data = client.message(message)
        assert data[1] & 0x80
        assert server.feed(data) == [Message(message)]
        assert client.feed(server.message(message)) == [Message(message)]


def test_a_reason_is_cut_between_characters() -> None:
    assert WebSocketCodec(1000).close(1000, "ü" * 100) == b"\x88\x7c" + close(1000, b"\xc3\xbc" * 61)


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressing(max_message_bytes: int = 10_000) -> WebSocketCodec:
    extension, _ = negotiate([b"permessage-deflate; client_no_context_takeover"])
    assert extension is not None
    return WebSocketCodec(max_message_bytes, extension)


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


def test_many_small_bombs_are_held_to_the_limit_one_by_one() -> None:
    data = frame(BINARY, deflated(bytes(10_000)), rsv1=True)
    assert feed(data * 3, codec=compressing(10_000)) == [Message(bytes(10_000))] * 3
    (closed,) = feed(data, codec=compressing(9_999))
    assert isinstance(closed, Closed)
    assert closed.code == 1009
    (closed,) = feed(frame(TEXT, b"x" * 30_000, rsv1=True), codec=compressing(10_000))
    assert isinstance(closed, Closed)
    assert closed.code == 1009  # by its header


def final(data: bytes, zdict: bytes = b"") -> bytes:
    """Compress to blocks whose last one is final, as some senders do (RFC 7692, 7.2.3.4)."""
    compressor = zlib.compressobj(wbits=-15, zdict=zdict) if zdict else zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush() + b"\0"


def test_a_final_block_ends_a_message_but_not_the_connections_compression() -> None:
    extension, _ = negotiate([b"permessage-deflate"])
    codec = WebSocketCodec(100_000, extension)
    noise = bytes(byte * byte % 251 for byte in range(40_000))
    stream = frame(TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", rsv1=True)  # the RFC's own example
    stream += frame(BINARY, final(noise), rsv1=True)
    stream += frame(BINARY, final(noise[-30_000:], zdict=noise[-32768:]), rsv1=True)
    stream += frame(BINARY, final(b"a")[:-1] + final(b"b"), rsv1=True)
    expected = [Message("Hello"), Message(noise), Message(noise[-30_000:]), Message(b"ab")]
    assert feed(stream, codec=codec) == expected


def test_final_blocks_without_end_are_an_attack() -> None:
    (closed,) = feed(frame(TEXT, final(b"")[:-1] * 1000, rsv1=True), codec=compressing())
    assert isinstance(closed, Closed)
    assert closed.code == 1007


def test_a_continuation_has_no_compression_bit() -> None:
    stream = frame(TEXT, deflated(b"x" * 99)[:3], fin=False, rsv1=True) + frame(CONTINUATION, b"y", rsv1=True)
    (closed,) = feed(stream, codec=compressing())
    assert isinstance(closed, Closed)
    assert closed.code == 1002


@pytest.mark.parametrize("bits", [8, 9, 15])
def test_the_servers_window_is_as_small_as_asked(bits: int) -> None:
    extension, _ = negotiate([b"permessage-deflate; server_max_window_bits=%d" % bits])
    codec = WebSocketCodec(100_000, extension)
    inflater = zlib.decompressobj(wbits=-bits)
    message = bytes(range(256)) * 20
    for _ in range(3):
        data = codec.message(message)
        payload = data[4:] if data[1] == 126 else data[2:]
        assert inflater.decompress(payload + b"\0\0\xff\xff") == message


def test_without_takeover_each_message_is_compressed_by_itself() -> None:
    extension, answer = negotiate([b"permessage-deflate; server_no_context_takeover"])
    assert answer == b"permessage-deflate; server_no_context_takeover"
    codec = WebSocketCodec(1000, extension)
    assert codec.message("hello " * 100) == codec.message("hello " * 100)


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
