"""The CGI codec: a request from the environment, its body from standard input."""

from __future__ import annotations

import pytest

from pierhead.protocols.cgi import CgiCodec
from pierhead.protocols.http1 import Data, End, Http1Limits, Refused, RequestHead

POST = {
    b"GATEWAY_INTERFACE": b"CGI/1.1",
    b"REQUEST_METHOD": b"POST",
    b"REQUEST_URI": b"/app/a",
    b"SCRIPT_NAME": b"/app",
    b"PATH_INFO": b"/a",
    b"SERVER_PROTOCOL": b"HTTP/1.1",
    b"HTTP_HOST": b"example.org",
    b"REMOTE_ADDR": b"192.0.2.7",
    b"CONTENT_LENGTH": b"5",
    b"PATH": b"/usr/bin",
}


def codec(**changes: bytes) -> CgiCodec:
    environment = POST | {name.encode(): value for name, value in changes.items()}
    process = CgiCodec(Http1Limits(), environment)
    process.trusted = True
    return process


def test_the_head_is_there_before_the_first_byte() -> None:
    process = codec()
    assert not process.idle
    (head,) = process.feed(b"")
    assert isinstance(head, RequestHead)
    assert (head.method, head.target) == ("POST", "/a")
    assert process.request is not None
    assert process.request.root_path == "/app"
    assert process.buffered_bytes == 0


def test_the_body_is_as_long_as_announced_whatever_follows() -> None:
    process = codec()
    process.feed(b"")
    assert process.feed(b"hel") == [Data(b"hel")]
    assert process.feed(b"lo and more") == [Data(b"lo"), End()]
    assert process.feed(b"more") == []
    assert process.feed_eof() == []
    assert process.request_complete


def test_a_body_that_breaks_off_is_refused() -> None:
    process = codec()
    process.feed(b"hel")
    (refused,) = process.feed_eof()
    assert isinstance(refused, Refused)
    assert refused.status == 400


def test_a_request_without_a_body_does_not_wait_for_the_end_of_standard_input() -> None:
    process = codec(CONTENT_LENGTH=b"")
    assert len(process.feed(b"")) == 1
    assert process.request_complete
    assert process.feed_eof() == []


def test_a_body_that_came_chunked_ends_with_standard_input() -> None:
    process = codec(CONTENT_LENGTH=b"", HTTP_TRANSFER_ENCODING=b"chunked")
    assert len(process.feed(b"")) == 1
    assert process.feed(b"hello") == [Data(b"hello")]
    assert process.feed_eof() == [End()]
    assert process.request_complete


def test_a_body_of_unknown_length_is_limited_as_well() -> None:
    environment = POST | {b"CONTENT_LENGTH": b"", b"HTTP_TRANSFER_ENCODING": b"chunked"}
    process = CgiCodec(Http1Limits(max_body_bytes=4), environment)
    process.feed(b"")
    assert process.feed(b"hell") == [Data(b"hell")]
    (refused,) = process.feed(b"o")
    assert isinstance(refused, Refused)
    assert refused.status == 413


def test_a_refused_request_is_answered_and_no_more_is_read() -> None:
    process = codec(REQUEST_METHOD=b"GET /")
    (refused,) = process.feed(b"")
    assert isinstance(refused, Refused)
    assert process.feed(b"hello") == []
    assert process.feed_eof() == []
    assert process.respond(400, [], b"no") == b"Status: 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"


def test_a_response_in_pieces() -> None:
    process = codec(REQUEST_METHOD=b"GET", CONTENT_LENGTH=b"")
    process.feed(b"")
    assert process.start_response(200, [(b"X", b"y")]) == b"Status: 200 OK\r\nX: y\r\n\r\n"
    assert process.data(b"hello") == b"hello"
    assert process.end() == b""
    process.close_after_response()
    assert not process.keep_alive
    with pytest.raises(RuntimeError, match="one request a connection"):
        process.next_request()
    with pytest.raises(RuntimeError, match="cannot be upgraded"):
        process.switch()


def test_what_http_has_beside_its_responses_has_no_place() -> None:
    process = codec(REQUEST_METHOD=b"GET", CONTENT_LENGTH=b"")
    process.feed(b"")
    assert process.go_on() == b""
    assert process.hint([(b"Link", b"</style.css>; rel=preload")]) == b""
    process.start_response(200, [])
    assert process.end([(b"X-Sum", b"1")]) == b""
