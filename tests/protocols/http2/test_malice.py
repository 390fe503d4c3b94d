"""The HTTP/2 codec: what breaks the protocol, and what keeps it and is an attack (RFC 9113, 10.5)."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from pierhead.protocols.http1 import Http1Limits, Refused, RequestHead
from pierhead.protocols.http2 import (
    Began,
    Failed,
    Http2Codec,
    Reset,
)
from tests.http2pair import Pair
from tests.http2peer import header_block

CALM = ErrorCodes.ENHANCE_YOUR_CALM


def test_what_does_not_begin_as_http2_does() -> None:
    codec = Http2Codec(Http1Limits(), max_streams=1)
    assert codec.feed(b"PRI * HTTP/2.0\r\n\r\n") == []
    assert codec.inside_head
    (failed,) = codec.feed(b"XX\r\n\r\n")
    assert failed == Failed("PROTOCOL_ERROR", "the connection does not begin as HTTP/2 does")


@pytest.mark.parametrize("first", [PingFrame(0, b"01234567"), SettingsFrame(0, flags=["ACK"])])
def test_the_first_frame_has_the_settings(first: Frame) -> None:
    codec = Http2Codec(Http1Limits(), max_streams=1)
    assert codec.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == []
    assert codec.feed(first.serialize()) == [Failed("PROTOCOL_ERROR", "the first frame is no SETTINGS")]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([DataFrame(1, b"a")], ErrorCodes.PROTOCOL_ERROR),  # of a stream that was never opened
        ([bytes(9)], ErrorCodes.PROTOCOL_ERROR),  # of no stream
        ([HeadersFrame(2, b"\x82\x84\x86", flags=["END_HEADERS"])], ErrorCodes.PROTOCOL_ERROR),
        ([HeadersFrame(1, b"\xff\xff\xff\xff", flags=["END_HEADERS"])], ErrorCodes.PROTOCOL_ERROR),
        ([HeadersFrame(1, b"\x82"), PingFrame(0, b"01234567")], ErrorCodes.PROTOCOL_ERROR),
        ([ContinuationFrame(1, b"\x82")], ErrorCodes.PROTOCOL_ERROR),
        ([WindowUpdateFrame(0, window_increment=2**31 - 1)], ErrorCodes.FLOW_CONTROL_ERROR),
        ([b"\x00\x40\x01\x00\x00\x00\x00\x00\x01"], ErrorCodes.FRAME_SIZE_ERROR),
        (
            [SettingsFrame(0, settings={SettingCodes.INITIAL_WINDOW_SIZE: 2**32 - 1})],
            ErrorCodes.FLOW_CONTROL_ERROR,
        ),
    ],
)
def test_what_no_client_may_send_ends_the_connection(frames: list[Frame | bytes], code: ErrorCodes) -> None:
    assert Pair().fails(*frames).code == code.name


def test_a_frame_of_a_stream_that_was_never_opened() -> None:
    pair = Pair()
    pair.ask()
    failed = pair.fails(DataFrame(3, b"a"))
    assert failed == Failed("PROTOCOL_ERROR", "a frame of stream 3, which is not open")


def test_what_follows_an_early_answer_is_ignored() -> None:
    pair = Pair()
    pair.peer.request(method="POST", body=b"a", end=False)
    began, *_ = pair.say()
    assert isinstance(began, Began)
    began.stream.respond(200, [], b"enough")
    pair.codec.commit(began.stream)
    pair.codec.take_output(1 << 20)  # is on its way
    pair.peer.data(1, b"more")
    pair.peer.h2.send_headers(1, [(b"x-sum", b"6")], end_stream=True)
    assert pair.codec.feed(pair.peer.out()) == []


def test_a_body_of_another_length_than_announced_ends_the_connection() -> None:
    pair = Pair()
    pair.peer.section(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "a"),
            ("content-length", "3"),
        ],
        end=False,
    )
    pair.say()
    pair.peer.raw(DataFrame(1, b"abcd"))
    events = pair.say()
    assert events[0] == Reset(1)
    assert isinstance(events[1], Failed)
    assert events[1].code == "PROTOCOL_ERROR"


@pytest.mark.parametrize(
    "frame",
    [
        PingFrame(0, b"01234567"),
        SettingsFrame(0, settings={SettingCodes.MAX_FRAME_SIZE: 16384}),
        PriorityFrame(1),
        ExtensionFrame(0xFA, 0),
        WindowUpdateFrame(1, window_increment=1),
        GoAwayFrame(0),
        DataFrame(1, b""),
        DataFrame(1, b"", flags=["PADDED"], pad_length=0),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_floods_of_frames_that_bring_nothing(frame: Frame) -> None:
    pair = Pair()
    pair.peer.request(method="POST", end=False)
    pair.say()
    pair.peer.raw(*[frame] * 900)
    assert pair.say() == []
    for _ in range(8):
        pair.codec.tick()  # two seconds later
    pair.peer.raw(*[frame] * 900)
    assert pair.say() == []
    failed = pair.fails(*[frame] * 900)
    assert failed.code == CALM.name
    assert failed.reason.startswith("too many frames that bring nothing, the last of them ")
    assert pair.peer.goaways[0].additional_data == failed.reason.encode()


def test_a_window_that_is_opened_byte_by_byte() -> None:
    pair = Pair(window=0)
    stream = pair.ask()
    stream.respond(200, [], b"x" * 65536)
    pair.answer(stream)
    with pytest.raises(AssertionError, match="calm"):
        for _ in range(70000):
            pair.peer.h2.increment_flow_control_window(1, 1)
            assert not any(isinstance(event, Failed) for event in pair.say()), "calm"
    assert stream.sent_bytes < 2000


def test_a_client_that_reads_much_may_say_so_often() -> None:
    pair = Pair(window=0)
    stream = pair.ask()
    stream.respond(200, [], b"x" * (1 << 20))
    pair.answer(stream)
    pair.peer.h2.increment_flow_control_window(1 << 24)
    for _ in range(1 << 10):
        pair.peer.h2.increment_flow_control_window(1024, 1)
        pair.peer.h2.increment_flow_control_window(1)
        assert pair.say() == []
    assert pair.peer.answers[1].ended


def test_streams_that_are_opened_and_reset_at_once() -> None:
    pair = Pair()
    block = header_block(pair.peer)
    repeated = header_block(pair.peer)
    served = 0
    for number in range(1, 2001, 2):
        headers = HeadersFrame(
            number, block if number == 1 else repeated, flags=["END_HEADERS", "END_STREAM"]
        )
        pair.peer.raw(headers, RstStreamFrame(number, error_code=8))
        events = pair.say()
        began = events[0]
        if isinstance(began, Began):
            assert began.stream.gone
            served += 1
        if isinstance(events[-1], Failed):
            assert events[-1] == Failed(
                "ENHANCE_YOUR_CALM", "too many streams that come to nothing: reset by the client"
            )
            break
    assert 190 < served < 210


def test_a_client_that_makes_requests_may_reset_some() -> None:
    pair = Pair()
    for number in range(600):
        stream = pair.ask()
        if number % 2:
            stream.respond(200, [], b"ok")
            pair.answer(stream)
        else:
            pair.peer.h2.reset_stream(stream.id)
            assert pair.say() == [Reset(stream.id)]


def test_malformed_requests_again_and_again() -> None:
    pair = Pair()
    for _ in range(300):
        pair.peer.section([(":method", "GET")])
        events = pair.say()
        if isinstance(events[-1], Failed):
            assert events[-1].reason == "too many streams that come to nothing: malformed requests"
            return
        began = events[0]
        assert isinstance(began, Began)
        began.stream.respond(400, [], b"")
        pair.answer(began.stream)
    pytest.fail("it goes on for ever")


def test_header_sections_without_end() -> None:
    pair = Pair()
    failed = pair.fails(HeadersFrame(1, b"\x82"), *[ContinuationFrame(1, b"")] * 40)
    assert (failed.code, failed.reason) == (CALM.name, "a header section is in more than 32 frames")
    pair = Pair()
    failed = pair.fails(HeadersFrame(1, b"\x82"), *[ContinuationFrame(1, b"\0" * 16384)] * 10)
    assert failed.code == CALM.name
    assert failed.reason.startswith("a header section is longer than ")


def test_a_header_section_in_several_frames() -> None:
    pair = Pair()
    block = header_block(pair.peer, (b"x", b"y" * 100))
    pair.peer.raw(HeadersFrame(1, block[:20], flags=["END_STREAM"]))
    assert pair.say() == []
    assert pair.codec.inside_head
    pair.peer.raw(ContinuationFrame(1, block[20:30]), ContinuationFrame(1, block[30:], flags=["END_HEADERS"]))
    (began,) = pair.say()
    assert isinstance(began, Began)
    assert isinstance(began.head, RequestHead)
    assert not pair.codec.inside_head


def test_a_little_too_much_gets_431_and_a_bomb_ends_the_connection() -> None:
    pair = Pair(max_head_bytes=2000, max_line_bytes=1000)
    pair.peer.request("/", ("x", "y" * 2000))
    (began,) = pair.say()
    assert isinstance(began, Began)
    assert began.head == Refused(431, "the head is longer than 2000 bytes")
    block = header_block(pair.peer, (b"bomb", b"y" * 1000), *[(b"bomb", b"y" * 1000)] * 100)
    assert len(block) < 1200  # is small until it is unpacked
    failed = pair.fails(HeadersFrame(3, block, flags=["END_HEADERS", "END_STREAM"]))
    assert failed.code == CALM.name


def test_what_comes_for_streams_that_are_over_is_counted() -> None:
    pair = Pair()
    stream = pair.ask()
    stream.respond(200, [], b"")
    pair.answer(stream)
    pair.peer.request(method="POST", end=False)
    began, *_ = pair.say()
    assert isinstance(began, Began)
    pair.codec.reset(began.stream)
    failed = pair.fails(*[DataFrame(3, b"a")] * 1200)
    assert failed.reason == "too many frames that bring nothing, the last of them of a stream that is over"


def test_after_the_end_nothing_is_announced() -> None:
    pair = Pair()
    pair.fails(DataFrame(1, b"a"))
    pair.codec.announce_end()
    pair.codec.end()
    assert pair.codec.take_output(1 << 20) == b""
