"""Responses for a web server to frame: the Status field, lengths held to, and what cannot be sent."""

from __future__ import annotations

import pytest

from pierhead.protocols.cgi.render import CgiResponseWriter
from pierhead.protocols.http1 import ResponseError
from pierhead.protocols.http1.events import RawFields


def whole(status: int, fields: RawFields, body: bytes, stamp: bytes = b"", method: str = "GET") -> bytes:
    return CgiResponseWriter(method).whole(status, fields, body, stamp, keep_alive=False)


def test_a_whole_response() -> None:
    answer = whole(200, [(b"Content-Type", b"text/plain")], b"hello", b"Date: now\r\n")
    assert answer == (
        b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nDate: now\r\n\r\nhello"
    )


def test_the_answer_to_head_has_the_length_and_no_body() -> None:
    assert whole(200, [], b"hello", method="HEAD").endswith(b"Content-Length: 5\r\n\r\n")
    announced = whole(200, [(b"Content-Length", b"9")], b"", method="HEAD")
    assert announced.endswith(b"Content-Length: 9\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(status: int) -> None:
    assert b"Content-Length" not in whole(status, [], b"")
    with pytest.raises(ResponseError, match="has no body"):
        whole(status, [], b"x")
    with pytest.raises(ResponseError, match="has no body"):
        CgiResponseWriter("GET").head(status, [], b"", keep_alive=False)


def test_304_may_say_how_long_the_body_would_be() -> None:
    length = [(b"Content-Length", b"9")]
    assert b"Content-Length: 9" in whole(304, length, b"")
    assert b"Content-Length" not in whole(204, [(b"Content-Length", b"0")], b"")


def test_a_status_without_a_name() -> None:
    assert whole(299, [], b"").startswith(b"Status: 299 \r\n")


def test_fields_about_the_connection_are_the_web_servers() -> None:
    fields = [(name, b"x") for name in (b"Connection", b"Keep-Alive", b"Upgrade", b"Proxy-Connection")]
    answer = whole(200, [*fields, (b"Status", b"500"), (b"X", b"y")], b"")
    assert answer == b"Status: 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\n"


def test_what_the_application_says_itself_stands_instead_of_the_servers() -> None:
    answer = whole(200, [(b"date", b"then")], b"", b"Date: now\r\nServer: pierhead\r\n")
    assert answer == b"Status: 200 OK\r\ndate: then\r\nContent-Length: 0\r\nServer: pierhead\r\n\r\n"


@pytest.mark.parametrize("status", [99, 101, 199, 600])
def test_a_status_is_that_of_a_final_response(status: int) -> None:
    with pytest.raises(ResponseError, match="200 to 599"):
        whole(status, [], b"")


def test_a_body_in_pieces_ends_where_the_stream_ends() -> None:
    writer = CgiResponseWriter("GET")
    assert writer.head(200, [], b"", keep_alive=False) == b"Status: 200 OK\r\n\r\n"
    assert writer.data(b"a") == b"a"
    assert writer.data(b"") == b""
    writer.end()


def test_a_body_in_pieces_is_held_to_its_length() -> None:
    writer = CgiResponseWriter("GET")
    writer.head(200, [(b"Content-Length", b"3")], b"", keep_alive=False)
    assert writer.data(b"ab") == b"ab"
    with pytest.raises(ResponseError, match="1 bytes shorter"):
        writer.end()
    with pytest.raises(ResponseError, match="1 bytes longer"):
        writer.data(b"cd")


def test_the_pieces_of_an_answer_to_head_are_not_sent() -> None:
    writer = CgiResponseWriter("HEAD")
    writer.head(200, [(b"Content-Length", b"3")], b"", keep_alive=False)
    assert writer.data(b"a") == b""
    writer.end()


@pytest.mark.parametrize(
    ("fields", "body", "message"),
    [
        ([(b"X", b"a\r\nY: b")], b"", "CR, LF or NUL"),
        ([(b"X\0", b"a")], b"", "CR, LF or NUL"),
        ([(b"Transfer-Encoding", b"chunked")], b"", "Transfer-Encoding"),
        ([(b"Content-Length", b"x")], b"", "not one number"),
        ([(b"Content-Length", b"1"), (b"Content-Length", b"1")], b"a", "not one number"),
        ([(b"Content-Length", b"2")], b"a", "is 2, the body has 1"),
        ([(b"Content-Length", b"2")], b"", "is 2, the body has 0"),
    ],
)
def test_a_response_that_cannot_be_sent(fields: list[tuple[bytes, bytes]], body: bytes, message: str) -> None:
    with pytest.raises(ResponseError, match=message):
        whole(200, fields, body)
