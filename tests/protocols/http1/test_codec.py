"""The HTTP/1 codec: bodies, pipelining, the end of a connection, and writing in turn."""

from __future__ import annotations

import h11
import pytest

from pierhead.protocols.http1 import Data, End, Http1Codec, Http1Limits, Http2Preface, Refused, RequestHead
from pierhead.protocols.http1.events import RequestHead as Head
from pierhead.protocols.http1.gate import RefusedError
from pierhead.protocols.http1.judge import Judge

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def codec() -> Http1Codec:
    return Http1Codec(Http1Limits())


def test_a_request_without_a_body_is_its_head() -> None:
    connection = codec()
    assert connection.idle
    (event,) = connection.feed(GET)
    assert isinstance(event, RequestHead)
    assert (event.method, event.target, event.version) == ("GET", "/", "1.1")
    assert connection.request_complete
    assert not connection.idle


def test_a_body_of_known_length_comes_in_pieces() -> None:
    connection = codec()
    head, data = connection.feed(POST[:-2])
    assert isinstance(head, RequestHead)
    assert data == Data(b"hel")
    assert not connection.request_complete
    assert connection.feed(b"lo") == [Data(b"lo"), End()]
    assert connection.request_complete


def test_a_chunked_body_is_decoded_and_its_trailers_are_read() -> None:
    connection = codec()
    events = connection.feed(CHUNKED + b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 6\r\n\r\n")
    assert events[1:] == [Data(b"hello!"), End([(b"X-Sum", b"6")])]


def test_what_follows_a_request_waits_for_its_turn() -> None:
    connection = codec()
    assert len(connection.feed(GET + POST + GET)) == 1
    assert connection.buffered_bytes == len(POST + GET)
    assert connection.feed(b"") == []
    head, data, end = connection.next_request()
    assert isinstance(head, RequestHead)
    assert (data, end) == (Data(b"hello"), End())
    assert len(connection.next_request()) == 1
    assert connection.next_request() == []
    assert connection.idle


def test_the_next_request_cannot_be_asked_for_too_early() -> None:
    connection = codec()
    with pytest.raises(RuntimeError, match="waits for a request"):
        connection.next_request()


def test_after_a_refusal_nothing_is_read() -> None:
    connection = codec()
    (refused,) = connection.feed(b"nonsense\r\n\r\n")
    assert isinstance(refused, Refused)
    assert connection.feed(GET) == []
    assert not connection.keep_alive
    answer = connection.respond(400, [], b"no")
    assert answer == b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"


@pytest.mark.parametrize("begun", [b"GET / HT", POST[:-1], CHUNKED + b"5\r\nhe"])
def test_the_end_of_the_connection_inside_a_request_refuses_it(begun: bytes) -> None:
    connection = codec()
    connection.feed(begun)
    (refused,) = connection.feed_eof()
    assert isinstance(refused, Refused)
    assert refused.status == 400


@pytest.mark.parametrize("whole", [b"", b"\r\n", GET, POST])
def test_the_end_of_the_connection_between_requests_is_no_error(whole: bytes) -> None:
    connection = codec()
    connection.feed(whole)
    assert connection.feed_eof() == []


def test_a_switched_connection_hands_over_what_it_read_ahead() -> None:
    connection = codec()
    connection.feed(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x80")
    assert connection.switch() == b"\x81\x80"
    assert connection.buffered_bytes == 0


def test_the_connection_is_kept_for_a_client_that_wants_it() -> None:
    connection = codec()
    connection.feed(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"Connection: keep-alive\r\n" in connection.respond(200, [], b"")
    assert connection.keep_alive
    connection.next_request()
    connection.feed(b"GET / HTTP/1.0\r\n\r\n")
    assert b"Connection: close\r\n" in connection.respond(200, [], b"")
    assert not connection.keep_alive


def test_the_server_may_end_the_connection() -> None:
    connection = codec()
    connection.feed(GET)
    connection.close_after_response()
    assert b"Connection: close\r\n" in connection.respond(204, [], b"")


def test_an_interim_response_is_not_the_response() -> None:
    assert codec().go_on() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_streamed_response_is_what_h11_reads() -> None:
    connection = codec()
    connection.feed(GET)
    out = connection.start_response(200, [(b"X", b"y")]) + connection.data(b"hello") + connection.data(b"")
    out += connection.end()
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(out)
    events = [client.next_event() for _ in range(3)]
    assert isinstance(events[0], h11.Response)
    assert events[1] == h11.Data(data=b"hello", chunk_start=True, chunk_end=True)
    assert isinstance(events[2], h11.EndOfMessage)


def test_h11_has_a_veto() -> None:
    """The gate refuses what h11 would: this is the net under it."""
    head = Head("GET", "/", "1.1", b"Host: a\r\n")
    with pytest.raises(RefusedError, match="more than one way"):
        Judge().head(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n", head)
    with pytest.raises(RefusedError, match="malformed"):
        Judge().head(b"GET / HTTP/1.1\r\n\r\n", head)
    judge = Judge()
    judge.head(CHUNKED, Head("POST", "/", "1.1", b"Host: a\r\nTransfer-Encoding: chunked\r\n"))
    with pytest.raises(RefusedError, match="malformed"):
        judge.trailers(b"X : y\r\n\r\n")
    judge = Judge()
    judge.head(CHUNKED, Head("POST", "/", "1.1", b"Host: a\r\nTransfer-Encoding: chunked\r\n"))
    with pytest.raises(RefusedError, match="more than one way"):
        judge.trailers(b"X: y\r\n")


PREFACE = b"PRI * HTTP/2.0\r\n\r\n"


def test_a_connection_that_begins_as_http2_says_so_in_its_refusal() -> None:
    (event,) = codec().feed(PREFACE + b"SM\r\n\r\n")
    assert isinstance(event, Http2Preface)
    assert (event.status, event.data) == (505, PREFACE + b"SM\r\n\r\n")
    connection = codec()
    events = [found for byte in PREFACE for found in connection.feed(bytes([byte]))]
    assert [event.__class__ for event in events] == [Http2Preface]


@pytest.mark.parametrize("begin", [b"\r\n", b"PRI / HTTP/2.0\r\n\r\n", b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n"])
def test_what_only_looks_like_http2_is_refused(begin: bytes) -> None:
    (event,) = codec().feed(begin + PREFACE)
    assert event.__class__ is Refused


def test_http2_begins_with_the_connection_or_not_at_all() -> None:
    connection = codec()
    connection.feed(GET + PREFACE)
    (event,) = connection.next_request()
    assert event.__class__ is Refused
