"""The HTTP/2 codec: streams beside each other, flow control, refusals, and how connections end."""

from __future__ import annotations

from h2.errors import ErrorCodes
from h2.events import DataReceived
from h2.settings import SettingCodes
from hyperframe.frame import (
    DataFrame,
    ExtensionFrame,
    GoAwayFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    WindowUpdateFrame,
)

from pierhead.protocols.http1 import Data, End, Framing, Http1Limits, Refused, RequestHead
from pierhead.protocols.http2 import (
    Began,
    Http2Codec,
    Quiet,
    Reset,
    StreamEvent,
)
from tests.http2pair import Pair
from tests.http2peer import Peer

TEXT = [(b"Content-Type", b"text/plain")]


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
