"""The HTTP/2 codec: streams beside each other, flow control, refusals, attacks, and how connections end."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.events import DataReceived
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

from pierhead.protocols.http1 import Data, End, Framing, Http1Limits, Refused, RequestHead
from pierhead.protocols.http2 import (
    Began,
    Failed,
    Http2Codec,
    Http2Event,
    Quiet,
    Reset,
    StreamCodec,
    StreamEvent,
)
from tests.http2peer import Peer, header_block

CALM = ErrorCodes.ENHANCE_YOUR_CALM
TEXT = [(b"Content-Type", b"text/plain")]


class Pair:
    """A codec and a client of it."""

    def __init__(self, *, window: int | None = None, max_streams: int = 100, **limits: int) -> None:
        self.codec = Http2Codec(Http1Limits(**limits), max_streams=max_streams)
        self.peer = Peer(window=window)
        assert self.say() == []
        assert self.say() == []  # the settings are acknowledged

    def say(self, room: int = 1 << 20) -> list[Http2Event]:
        """Bring to the codec what the client has to send, and back what it answers, up to `room` bytes."""
        events = self.codec.feed(self.peer.out())
        self.peer.receive(self.codec.take_output(room))
        return events

    def ask(self, path: str = "/", method: str = "GET", body: bytes | None = None) -> StreamCodec:
        """Send a request; returns its stream."""
        self.peer.request(path, method=method, body=body)
        began, *_ = self.say()
        assert isinstance(began, Began)
        return began.stream

    def answer(self, stream: StreamCodec, room: int = 1 << 20) -> None:
        """Send what a stream has rendered."""
        self.codec.commit(stream)
        self.peer.receive(self.codec.take_output(room))

    def fails(self, *frames: Frame | bytes) -> Failed:
        """Send frames with which the connection ends."""
        self.peer.raw(*frames)
        *_, failed = self.say()
        assert isinstance(failed, Failed)
        assert self.codec.feed(b"more") == []
        (goaway,) = self.peer.goaways
        assert ErrorCodes(goaway.error_code).name == failed.code
        return failed


def test_requests_come_and_are_answered_in_any_order() -> None:
    pair = Pair()
    first, second = pair.peer.request("/1"), pair.peer.request("/2")
    events = pair.say()
    heads = [event.head for event in events if isinstance(event, Began)]
    assert [head.target for head in heads if isinstance(head, RequestHead)] == ["/1", "/2"]
    streams = [event.stream for event in events if isinstance(event, Began)]
    assert all(stream.request_complete for stream in streams)
    for stream in reversed(streams):
        assert stream.respond(200, TEXT, b"answer %d" % stream.id, b"Date: now\r\n") == b""
        pair.answer(stream)
    for stream_id in (first, second):
        answer = pair.peer.answers[stream_id]
        assert (answer.status, answer.body, answer.ended) == (200, b"answer %d" % stream_id, True)
        assert answer.fields[1:] == [
            (b"content-type", b"text/plain"),
            (b"content-length", b"8"),
            (b"date", b"now"),
        ]
    assert pair.codec.streams == {}


def test_bytes_may_come_one_by_one() -> None:
    codec, peer = Http2Codec(Http1Limits(), max_streams=100), Peer()
    peer.request("/", method="POST", body=b"hello")
    events = []
    data = peer.out()
    for number in range(len(data)):
        events += codec.feed(data[number : number + 1])
    assert not codec.inside_head
    began, piece, end = events
    assert isinstance(began, Began)
    assert [piece, end] == [StreamEvent(1, Data(b"hello")), StreamEvent(1, End())]


def test_a_body_of_unknown_length_and_trailers() -> None:
    pair = Pair()
    stream_id = pair.peer.request(method="POST", body=b"abc", end=False)
    began, piece = pair.say()
    assert isinstance(began, Began)
    assert isinstance(began.head, RequestHead)
    assert began.head.framing is Framing.CHUNKED
    assert piece == StreamEvent(1, Data(b"abc"))
    pair.peer.h2.send_headers(stream_id, [(b"x-sum", b"6")], end_stream=True)
    assert pair.say() == [StreamEvent(1, End([(b"x-sum", b"6")]))]
    assert began.stream.request_complete


def test_bad_trailers_end_the_request() -> None:
    pair = Pair()
    stream_id = pair.peer.request(method="POST", body=b"abc", end=False)
    pair.say()
    pair.peer.h2.send_headers(stream_id, [(b"content-length", b"3")], end_stream=True)
    (event,) = pair.say()
    assert isinstance(event, StreamEvent)
    assert isinstance(event.event, Refused)
    stream = pair.codec.streams[1]
    stream.respond(400, [], b"no")
    pair.answer(stream)
    assert pair.peer.answers[1].reset == ErrorCodes.PROTOCOL_ERROR


def test_trailers_over_a_limit_are_no_malformed_request() -> None:
    pair = Pair(max_headers=4)
    stream_id = pair.peer.request(method="POST", body=b"abc", end=False)
    pair.say()
    pair.peer.h2.send_headers(stream_id, [(b"x", b"1")] * 5, end_stream=True)
    (event,) = pair.say()
    assert event == StreamEvent(1, Refused(431, "the request has more than 4 trailer fields"))
    assert pair.codec.streams[1].reset_code is None


def test_the_body_of_a_request_is_limited() -> None:
    pair = Pair(max_body_bytes=5)
    stream_id = pair.peer.request(method="POST", body=b"abcd", end=False)
    pair.say()
    pair.peer.data(stream_id, b"ef")
    assert pair.say() == [StreamEvent(1, Refused(413, "the body is longer than 5 bytes"))]
    pair.peer.data(stream_id, b"gh", end=True)
    assert pair.say() == []


def test_a_client_is_given_room_for_what_was_read() -> None:
    pair = Pair()
    stream_id = pair.peer.request(method="POST", body=b"a" * 65535, end=False)
    began, *_ = pair.say()
    assert isinstance(began, Began)
    peer, codec = pair.peer, pair.codec
    assert peer.h2.local_flow_control_window(stream_id) == 0
    assert peer.h2.outbound_flow_control_window > (1 << 20) - 32768  # the connection's: others may go on
    assert not codec.consumed(began.stream, 1000)
    assert codec.consumed(began.stream, 64535)
    pair.say()
    assert peer.h2.local_flow_control_window(stream_id) == 65535
    peer.data(stream_id, b"b", end=True)
    pair.say()
    assert not codec.consumed(began.stream, 65535)  # it is complete: nothing more comes


def test_padding_takes_no_room_for_long() -> None:
    pair = Pair()
    stream_id = pair.peer.request(method="POST", end=False)
    (began,) = pair.say()
    assert isinstance(began, Began)
    for _ in range(20):
        pair.peer.h2.send_data(stream_id, b"a", pad_length=255)
        pair.say()
    assert began.stream.consumed_bytes == 20 * 256


def test_interim_responses_and_trailers() -> None:
    pair = Pair()
    stream = pair.ask()
    stream.go_on()
    stream.hint([(b"Link", b"</a>")])
    pair.answer(stream)
    stream.start_response(200, TEXT)
    stream.data(b"a")
    pair.answer(stream)
    stream.data(b"b")
    stream.end([(b"X-Sum", b"2")])
    pair.answer(stream)
    answer = pair.peer.answers[1]
    assert answer.interim == [[(b":status", b"100")], [(b":status", b"103"), (b"link", b"</a>")]]
    assert (answer.body, answer.trailers, answer.ended) == (b"ab", [(b"x-sum", b"2")], True)


def test_a_response_without_a_body_ends_with_its_head() -> None:
    pair = Pair()
    for method, status, body in [("HEAD", 200, b"hidden"), ("GET", 204, b""), ("GET", 304, b"")]:
        stream = pair.ask(method=method)
        stream.respond(status, [], body)
        pair.answer(stream)
        answer = pair.peer.answers[stream.id]
        assert (answer.status, answer.body, answer.ended) == (status, b"", True)
        assert answer.field(b"content-length") == (b"6" if body else None)


def test_a_response_in_no_pieces() -> None:
    pair = Pair()
    stream = pair.ask(method="HEAD")
    stream.start_response(200, [])
    pair.answer(stream)
    stream.data(b"hidden")
    stream.end([(b"x", b"y")])
    pair.answer(stream)
    answer = pair.peer.answers[1]
    assert (answer.status, answer.body, answer.trailers, answer.ended) == (200, b"", [], True)
    stream = pair.ask()
    stream.start_response(200, [])
    stream.end([(b"x", b"y")])
    pair.answer(stream)
    assert pair.peer.answers[3].trailers == [(b"x", b"y")]


def test_a_response_that_was_not_sent_yet_may_be_replaced() -> None:
    pair = Pair()
    stream = pair.ask()
    stream.start_response(200, TEXT)
    stream.data(b"not this")
    stream.respond(500, [], b"but this")
    pair.answer(stream)
    assert (pair.peer.answers[1].status, pair.peer.answers[1].body) == (500, b"but this")


def test_bodies_wait_for_room_and_take_turns() -> None:
    pair = Pair(window=20000)
    streams = [pair.ask(), pair.ask()]
    for stream in streams:
        stream.respond(200, [], b"x" * 50000)
        pair.codec.commit(stream)
    pair.peer.receive(pair.codec.take_output(20000))
    assert [len(answer.body) for answer in pair.peer.answers.values()] == [16384, 16384]
    pair.peer.receive(pair.codec.take_output(1 << 20))
    assert [len(answer.body) for answer in pair.peer.answers.values()] == [20000, 20000]
    assert [stream.queued_bytes for stream in streams] == [30000, 30000]
    streams[0].data(b"")
    pair.codec.commit(streams[0])  # which does not change that there is no room
    assert pair.codec.take_output(1 << 20) == b""
    pair.peer.h2.increment_flow_control_window(30000, 3)  # the other may go on
    pair.say()
    assert [len(answer.body) for answer in pair.peer.answers.values()] == [20000, 45535]  # all in all 65535
    pair.peer.h2.increment_flow_control_window(30000)
    pair.peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 50000})
    pair.say()
    assert [len(answer.body) for answer in pair.peer.answers.values()] == [45535, 50000]
    pair.peer.h2.increment_flow_control_window(30000)  # of the connection
    pair.say()
    assert pair.peer.answers[1].ended


def test_small_pieces_leave_in_one_frame() -> None:
    pair = Pair()
    stream = pair.ask()
    stream.start_response(200, [])
    for piece in (b"a", b"b", b"c" * 20000):
        stream.data(piece)
    stream.end()
    pair.answer(stream)
    sizes = [len(event.data) for event in pair.peer.events if isinstance(event, DataReceived)]
    assert sizes == [16384, 20002 - 16384]


def test_who_still_sends_a_request_is_told_to_stop() -> None:
    pair = Pair()
    pair.peer.request(method="POST", body=b"a", end=False)
    began, *_ = pair.say()
    assert isinstance(began, Began)
    began.stream.respond(200, [], b"enough")
    pair.answer(began.stream)
    answer = pair.peer.answers[1]
    assert (answer.body, answer.ended, answer.reset) == (b"enough", True, ErrorCodes.NO_ERROR)
    pair.peer.raw(DataFrame(1, b"on the way"))
    assert pair.say() == []


def test_a_malformed_request_is_answered_and_its_stream_reset() -> None:
    pair = Pair()
    pair.peer.section([(":method", "GET")])
    (began,) = pair.say()
    assert isinstance(began, Began)
    assert began.head == Refused(400, "a request has :method, :scheme and :path")
    began.stream.respond(400, [], b"no")
    pair.answer(began.stream)
    answer = pair.peer.answers[1]
    assert (answer.status, answer.body, answer.ended) == (400, b"no", False)
    assert answer.reset == ErrorCodes.PROTOCOL_ERROR
    pair.peer.section([(":method", "GET")])
    (began,) = pair.say()
    assert isinstance(began, Began)
    began.stream.respond(400, [], b"")
    pair.answer(began.stream)
    assert pair.peer.answers[3].reset == ErrorCodes.PROTOCOL_ERROR


def test_a_client_resets_a_stream() -> None:
    pair = Pair()
    stream = pair.ask()
    pair.peer.h2.reset_stream(1)
    assert pair.say() == [Reset(1)]
    assert stream.gone
    stream.respond(200, [], b"too late")
    pair.answer(stream)
    pair.codec.reset(stream)
    assert pair.peer.answers[1].status == 0
    pair.peer.raw(RstStreamFrame(1))  # once more
    assert pair.say() == []


def test_a_stream_is_reset_from_here() -> None:
    pair = Pair()
    stream = pair.ask()
    stream.start_response(200, [])
    pair.codec.commit(stream)
    pair.codec.reset(stream)
    assert not pair.codec.consumed(stream, 65535)
    pair.say()
    assert pair.peer.answers[1].reset == ErrorCodes.INTERNAL_ERROR


def test_a_window_that_is_too_large_costs_its_stream() -> None:
    pair = Pair()
    pair.ask()
    pair.peer.raw(WindowUpdateFrame(1, window_increment=2**31 - 1))
    assert pair.say() == [Reset(1)]
    assert pair.peer.answers[1].reset == ErrorCodes.FLOW_CONTROL_ERROR


def test_more_streams_than_allowed_are_refused_to_be_repeated() -> None:
    pair = Pair(max_streams=2)
    pair.ask()
    pair.ask()
    del pair.peer.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS]  # so that it does not know
    pair.peer.request()
    assert pair.say() == []
    assert pair.peer.answers[5].reset == ErrorCodes.REFUSED_STREAM


def test_the_end_of_a_connection_is_announced_and_then_final() -> None:
    pair = Pair()
    pair.codec.announce_end()
    pair.peer.receive(pair.codec.take_output(0))
    assert pair.peer.goaways[0].last_stream_id == 2**31 - 1
    stream_id = pair.peer.request()  # was on its way
    quiet, began = sorted(pair.say(), key=lambda event: isinstance(event, Began))
    assert quiet == Quiet()
    assert isinstance(began, Began)
    pair.codec.end()
    pair.codec.end()
    pair.peer.request()
    assert pair.say() == []
    assert [goaway.last_stream_id for goaway in pair.peer.goaways] == [2**31 - 1, stream_id]
    assert pair.peer.answers[3].reset == ErrorCodes.REFUSED_STREAM
    began.stream.respond(200, [], b"still here")
    pair.answer(began.stream)
    assert pair.peer.answers[stream_id].body == b"still here"


def test_a_clients_goaway_leaves_its_streams_as_they_are() -> None:
    pair = Pair()
    stream = pair.ask()
    pair.peer.raw(GoAwayFrame(0))
    assert pair.say() == []
    stream.respond(200, [], b"hello")
    pair.answer(stream)
    assert pair.peer.answers[1].body == b"hello"


def test_what_a_client_allows_for_compression_is_not_all_used() -> None:
    pair = Pair()
    pair.peer.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 1 << 24})
    pair.say()
    assert pair.codec._h2.encoder.header_table_size == 4096
    stream = pair.ask()
    stream.respond(200, [(b"X", b"y")], b"")
    pair.answer(stream)
    assert pair.peer.answers[1].field(b"x") == b"y"


def test_pings_and_unknown_frames_are_fine_for_a_while() -> None:
    pair = Pair()
    pair.peer.raw(PingFrame(0, b"01234567"), ExtensionFrame(0xFA, 0), PriorityFrame(1), PriorityFrame(3))
    assert pair.say() == []
    pair.peer.raw(PingFrame(0, b"pierhead"))  # looks like the answer to ours, but is none
    assert pair.say() == []


# What ends a connection


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
