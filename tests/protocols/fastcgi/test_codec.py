"""The FastCGI codec: requests one after the other, what is no record for it, and framed responses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols.fastcgi import (
    BeginRequest,
    EndRequest,
    FastCGICodec,
    ProtocolStatus,
    Record,
    RecordReader,
    RecordType,
    Role,
    decode_pairs,
    encode_pairs,
    render,
)
from pierhead.protocols.http1 import Data, End, Event, Framing, Http1Limits, Refused, RequestHead

VARIABLES = {
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/a",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "a",
    "REMOTE_ADDR": "192.0.2.7",
}


def codec(**limits: int) -> FastCGICodec:
    connection = FastCGICodec(Http1Limits(**limits), max_connections=100)
    connection.trusted = True
    return connection


def begin(request_id: int = 1, role: int = Role.RESPONDER, *, keep: bool = True) -> bytes:
    return render(RecordType.BEGIN_REQUEST, request_id, BeginRequest(role, keep).encode())


def params(request_id: int = 1, **changes: str) -> bytes:
    pairs = [(name.encode(), value.encode()) for name, value in (VARIABLES | changes).items()]
    content = encode_pairs(pairs)
    return render(RecordType.PARAMS, request_id, content) + render(RecordType.PARAMS, request_id)


def stdin(data: bytes = b"", request_id: int = 1) -> bytes:
    return render(RecordType.STDIN, request_id, data)


GET = begin() + params() + stdin()
HEAD_ONLY = begin() + params(REQUEST_METHOD="HEAD") + stdin()
POST = begin() + params(REQUEST_METHOD="POST", CONTENT_LENGTH="5") + stdin(b"hello") + stdin()
COMPLETE = render(RecordType.END_REQUEST, 1, EndRequest().encode())


def refusal(data: bytes, **limits: int) -> Refused:
    event = codec(**limits).feed(data)[-1]
    assert isinstance(event, Refused)
    return event


def answered(data: bytes) -> tuple[bytes, list[Record]]:
    """Return what the standard output says, and the records that are none of it."""
    records = RecordReader().feed(data)
    output = b"".join(record.content for record in records if record.type == RecordType.STDOUT)
    return output, [record for record in records if record.type != RecordType.STDOUT]


def told(connection: FastCGICodec, data: bytes) -> bytes:
    """Return what the codec answers itself; the application is asked nothing."""
    assert connection.feed(data) == []
    output = connection.take_output()
    assert connection.take_output() == b""
    return output


def test_a_request_without_a_body_is_known_by_the_end_of_its_stdin() -> None:
    connection = codec()
    assert connection.feed(begin() + params()) == []
    assert not connection.idle
    (head,) = connection.feed(stdin())
    assert isinstance(head, RequestHead)
    assert (head.method, head.target, head.framing) == ("GET", "/a", Framing.NONE)
    assert connection.request is not None
    assert connection.request.client == ("192.0.2.7", None)
    assert connection.request_complete


def test_a_request_with_a_body_begins_with_its_variables() -> None:
    connection = codec()
    (head,) = connection.feed(begin() + params(CONTENT_LENGTH="5"))
    assert isinstance(head, RequestHead)
    assert head.length == 5
    assert connection.feed(stdin(b"hel")) == [Data(b"hel")]
    assert connection.feed(stdin(b"lo")) == [Data(b"lo")]
    assert not connection.request_complete
    assert connection.feed(stdin()) == [End()]
    assert connection.request_complete


def test_a_body_without_a_length_ends_where_its_stdin_does() -> None:
    events = codec().feed(begin() + params() + stdin(b"hello") + stdin())
    assert isinstance(events[0], RequestHead)
    assert events[0].framing is Framing.CHUNKED
    assert events[1:] == [Data(b"hello"), End()]


@given(st.lists(st.integers(0, len(POST)), max_size=6))
def test_a_request_comes_in_any_pieces(cuts: list[int]) -> None:
    connection = codec()
    events: list[Event] = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(POST)], strict=True):
        events += connection.feed(POST[start:end])
    assert isinstance(events[0], RequestHead)
    assert events[1:] == [Data(b"hello"), End()]
    assert connection.buffered_bytes == 0


def test_variables_come_in_any_number_of_records() -> None:
    content = encode_pairs([(name.encode(), value.encode()) for name, value in VARIABLES.items()])
    pieces = b"".join(render(RecordType.PARAMS, 1, content[at : at + 7]) for at in range(0, len(content), 7))
    (head,) = codec().feed(begin() + pieces + render(RecordType.PARAMS, 1) + stdin())
    assert isinstance(head, RequestHead)


def test_a_response_is_stdout_and_the_end_of_the_request() -> None:
    connection = codec()
    connection.feed(GET)
    output, others = answered(connection.respond(200, [(b"X", b"y")], b"hi", b"Date: now\r\n"))
    assert output == b"Status: 200 OK\r\nX: y\r\nContent-Length: 2\r\nDate: now\r\n\r\nhi"
    assert others == [Record(RecordType.END_REQUEST, 1, EndRequest().encode())]
    assert connection.keep_alive


def test_a_response_in_pieces() -> None:
    connection = codec()
    connection.feed(GET)
    data = connection.start_response(200, []) + connection.data(b"a" * 70000) + connection.data(b"")
    output, others = answered(data + connection.end())
    assert output == b"Status: 200 OK\r\n\r\n" + b"a" * 70000
    assert len(others) == 1


def test_requests_come_one_after_the_other_on_a_kept_connection() -> None:
    connection = codec()
    connection.feed(HEAD_ONLY)
    assert answered(connection.respond(200, [], b"hi"))[0].endswith(b"\r\n\r\n")
    assert connection.feed(GET + b"\x01") == []  # it may be here before we were told that the first is done
    assert connection.buffered_bytes > 1
    (head,) = connection.next_request()
    assert isinstance(head, RequestHead)
    assert connection.buffered_bytes == 1
    assert answered(connection.respond(200, [], b"hi"))[0].endswith(b"hi")
    assert connection.next_request() == []
    assert not connection.idle  # the byte


def test_the_next_request_cannot_be_asked_for_too_early() -> None:
    with pytest.raises(RuntimeError, match="waits for a request"):
        codec().next_request()


def test_the_connection_is_not_kept_where_the_web_server_does_not_ask_for_it() -> None:
    connection = codec()
    connection.feed(begin(keep=False) + params() + stdin())
    assert not connection.keep_alive


def test_the_connection_is_not_kept_where_the_response_overtakes_the_request() -> None:
    whole, streamed = codec(), codec()
    for connection in (whole, streamed):
        connection.feed(begin() + params(CONTENT_LENGTH="5"))
        assert connection.keep_alive
    whole.respond(200, [], b"")
    streamed.start_response(200, [])
    assert not whole.keep_alive
    assert not streamed.keep_alive


def test_the_server_can_give_the_connection_up() -> None:
    connection = codec()
    connection.feed(GET)
    connection.close_after_response()
    assert not connection.keep_alive


def test_a_second_request_at_a_time_is_told_that_there_is_no_multiplexing() -> None:
    connection = codec()
    connection.feed(GET)
    end = EndRequest(ProtocolStatus.CANT_MPX_CONN)
    second = begin(2) + params(2) + stdin(b"", 2)
    assert told(connection, second) == render(RecordType.END_REQUEST, 2, end.encode())
    assert answered(connection.respond(200, [], b"hi"))[0].endswith(b"hi")


@pytest.mark.parametrize("role", [Role.AUTHORIZER, Role.FILTER, 0, 9])
def test_there_is_no_role_but_the_responders(role: int) -> None:
    connection = codec()
    end = EndRequest(ProtocolStatus.UNKNOWN_ROLE)
    request = begin(1, role) + params() + stdin()
    assert told(connection, request) == render(RecordType.END_REQUEST, 1, end.encode())
    assert connection.idle
    assert not connection.finished
    assert len(connection.feed(GET)) == 1


def test_an_unknown_role_ends_a_connection_that_is_not_kept() -> None:
    connection = codec()
    assert told(connection, begin(1, 9, keep=False) + GET)
    assert connection.finished
    assert connection.feed(GET) == []
    assert connection.buffered_bytes == 0


def test_a_web_server_may_ask_what_the_server_can_do() -> None:
    connection = codec()
    names = [b"FCGI_MPXS_CONNS", b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MOON", b"FCGI_MAX_CONNS"]
    asked = encode_pairs([(name, b"") for name in names])
    (record,) = RecordReader().feed(told(connection, render(RecordType.GET_VALUES, 0, asked)))
    assert (record.type, record.request_id) == (RecordType.GET_VALUES_RESULT, 0)
    assert decode_pairs(record.content) == [
        (b"FCGI_MPXS_CONNS", b"0"),
        (b"FCGI_MAX_CONNS", b"100"),
        (b"FCGI_MAX_REQS", b"100"),
    ]
    assert connection.idle


@pytest.mark.parametrize("kind", [11, 12, 255])
def test_a_management_record_of_an_unknown_type_is_answered(kind: int) -> None:
    answer = told(codec(), bytes((1, kind, 0, 0, 0, 0, 0, 0)))
    assert RecordReader().feed(answer) == [Record(RecordType.UNKNOWN_TYPE, 0, bytes((kind, *bytes(7))))]


def test_an_aborted_request_is_ended_and_the_connection_closed() -> None:
    connection = codec()
    connection.feed(GET)
    assert told(connection, render(RecordType.ABORT_REQUEST, 1)) == render(RecordType.STDOUT, 1) + COMPLETE
    assert connection.finished
    assert not connection.keep_alive
    assert not connection.begun
    assert connection.respond(200, [], b"too late") == b""


def test_records_of_requests_that_are_not_active_are_ignored() -> None:
    connection = codec()
    abort = render(RecordType.ABORT_REQUEST, 7)
    assert connection.feed(params(7) + stdin(b"x", 7) + abort) == []
    assert connection.feed(begin()) == []
    assert connection.begun
    assert connection.feed(stdin(b"x", 7) + abort + params(7)) == []
    assert len(connection.feed(params() + stdin())) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "version"),
        (render(RecordType.BEGIN_REQUEST, 0, bytes(8)), "no request id"),
        (render(RecordType.STDIN, 0, b"x"), "no request id"),
        (bytes((1, 0, 0, 0, 0, 0, 0, 0)), "no request id"),
        (render(RecordType.GET_VALUES, 0, b"\x05"), "inside of a length"),
        (render(RecordType.BEGIN_REQUEST, 1, bytes(7)), "7 bytes"),
        (render(RecordType.STDOUT, 1, b"x"), "not for a responder"),
        (render(RecordType.DATA, 1, b"x"), "not for a responder"),
        (bytes((1, 99, 0, 1, 0, 0, 0, 0)), "not for a responder"),
        (begin() + begin(), "began twice"),
        (begin() + stdin(b"x"), "before the end of PARAMS"),
        (begin() + params() + params(), "after their end"),
        (begin() + params(CONTENT_LENGTH="5") + params(), "after their end"),
        (GET + stdin(), "after the end of the body"),
        (POST + stdin(b"x"), "after the end of the body"),
        (begin() + params(CONTENT_LENGTH="0") + stdin(b"x"), "after the end of the body"),
        (begin() + params(CONTENT_LENGTH="5") + stdin(b"hello!"), "longer than the CONTENT_LENGTH"),
        (begin() + params(CONTENT_LENGTH="5") + stdin(b"hell") + stdin(), "shorter than the CONTENT_LENGTH"),
        (begin() + render(RecordType.PARAMS, 1, b"\x09\x09x") + render(RecordType.PARAMS, 1), "longer than"),
        (begin() + params(REQUEST_METHOD="GET /"), "request line"),
    ],
)
def test_what_no_web_server_may_send(data: bytes, reason: str) -> None:
    refused = refusal(data)
    assert refused.status == 400
    assert reason in refused.reason


def test_variables_over_the_limit_are_refused_before_their_end() -> None:
    piece = render(RecordType.PARAMS, 1, bytes(30000))
    assert refusal(begin() + piece + piece).status == 431


def test_a_body_over_the_limit_is_refused() -> None:
    assert refusal(begin() + params(CONTENT_LENGTH="5"), max_body_bytes=4).status == 413
    assert refusal(begin() + params() + stdin(b"hello"), max_body_bytes=4).status == 413


@pytest.mark.parametrize("data", [b"\x01", begin(), begin() + params(), POST[:-8]])
def test_a_connection_that_ends_inside_a_request_is_refused(data: bytes) -> None:
    connection = codec()
    connection.feed(data)
    (refused,) = connection.feed_eof()
    assert isinstance(refused, Refused)
    assert refused.status == 400


def test_a_connection_may_end_between_requests() -> None:
    connection = codec()
    assert connection.feed_eof() == []
    connection.feed(GET)
    assert connection.feed_eof() == []


def test_what_is_refused_is_answered_where_a_request_was_begun() -> None:
    connection = codec()
    connection.feed(begin() + params(REQUEST_METHOD="GET /"))
    output, others = answered(connection.respond(400, [], b"no"))
    assert output == b"Status: 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"
    assert len(others) == 1
    assert not connection.keep_alive
    assert connection.feed(GET) == []


def test_what_is_refused_before_a_request_cannot_be_answered() -> None:
    connection = codec()
    connection.feed(b"GET / HTTP/1.1\r\n")
    assert connection.respond(400, [], b"no") == b""


RECORDS = st.one_of(
    st.sampled_from([begin(), begin(2), begin(1, 9), params(), params(CONTENT_LENGTH="5"), stdin()]),
    st.sampled_from([GET, POST]),
    st.sampled_from([render(RecordType.ABORT_REQUEST, 1), render(RecordType.GET_VALUES, 0, b"")]),
    st.builds(
        render,
        st.sampled_from(RecordType),
        st.integers(0, 3),
        st.one_of(st.binary(max_size=12), st.just(b"hello")),
    ),
    st.binary(max_size=4),
)


@given(st.lists(RECORDS, max_size=8).map(b"".join), st.lists(st.integers(0, 400), max_size=4))
def test_whatever_comes_in_whatever_pieces_has_one_meaning(data: bytes, cuts: list[int]) -> None:
    whole, pieces = codec(), codec()
    expected = whole.feed(data) + whole.feed_eof()
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found: list[Event] = []
    for start, end in zip([0, *ends], ends, strict=False):
        found += pieces.feed(data[start:end])
    found += pieces.feed_eof()
    assert found == expected
    assert pieces.take_output() == whole.take_output()
    assert pieces.finished == whole.finished
    for connection in (whole, pieces):
        answer = connection.respond(200, [], b"hi")
        assert bool(answer) == connection.begun
