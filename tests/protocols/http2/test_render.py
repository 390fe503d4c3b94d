"""Responses as lists of fields: the rules are those of HTTP/1."""

from __future__ import annotations

import pytest
from hpack import NeverIndexedHeaderTuple

from pierhead.protocols.http1 import ResponseError
from pierhead.protocols.http2.render import SectionWriter, interim, trailer_section

Fields = list[tuple[bytes, bytes]]


def head(fields: Fields, status: int = 200, stamp: bytes = b"") -> Fields:
    writer = SectionWriter("GET")
    assert writer.head(status, fields, stamp, keep_alive=True) == b""
    return [(name, value) for name, value in writer.section]


def test_names_are_in_lower_case_and_nothing_is_said_about_the_connection() -> None:
    fields = [
        (b"Content-Type", b"text/plain"),
        (b"Connection", b"close"),
        (b"Keep-Alive", b"1"),
        (b"Upgrade", b"h2c"),
    ]
    assert head(fields) == [(b":status", b"200"), (b"content-type", b"text/plain")]
    assert head([(b"Upgrade", b"websocket")], 426) == [(b":status", b"426")]


def test_the_stamp_gives_way_to_the_applications_own_fields() -> None:
    stamp = b"Date: now\r\nServer: pierhead\r\n"
    assert head([(b"Server", b"mine")], stamp=stamp)[1:] == [(b"server", b"mine"), (b"date", b"now")]


def test_a_length_is_announced_and_held_to() -> None:
    writer = SectionWriter("GET")
    assert writer.whole(200, [], b"abc", b"", keep_alive=True) == b"abc"
    assert (b"content-length", b"3") in writer.section
    writer.head(200, [(b"Content-Length", b"2")], b"", keep_alive=True)
    with pytest.raises(ResponseError, match="longer than its Content-Length"):
        writer.data(b"abc")
    writer.head(200, [(b"Content-Length", b"2")], b"", keep_alive=True)
    with pytest.raises(ResponseError, match="shorter than its Content-Length"):
        writer.end()


@pytest.mark.parametrize(
    "field",
    [(b"a b", b"c"), (b"", b"c"), (b"x", b"a\r\nb: c"), (b"x", b"\0"), (b"x\n", b"y"), (b":status", b"200")],
)
def test_a_malformed_field_would_cost_the_client_its_connection(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(ResponseError):
        head([field])
    with pytest.raises(ResponseError):
        interim(103, [field])
    with pytest.raises(ResponseError):
        trailer_section([field])


def test_trailers_that_may_be_none() -> None:
    assert trailer_section([(b"X-Sum", b" 1 ")]) == [(b"x-sum", b"1")]
    with pytest.raises(ResponseError, match="may not be a trailer field"):
        trailer_section([(b"Content-Length", b"1")])


def test_secrets_are_not_kept_for_compression() -> None:
    writer = SectionWriter("GET")
    writer.head(200, [(b"Set-Cookie", b"a=b"), (b"X", b"y")], b"", keep_alive=True)
    assert [isinstance(field, NeverIndexedHeaderTuple) for field in writer.section] == [False, True, False]
