"""Header sections of HTTP/2: what is a request, with which head, and what is refused with which status."""

from __future__ import annotations

import pytest

from pierhead.protocols.http1 import Framing, Http1Limits
from pierhead.protocols.http1.gate import RefusedError
from pierhead.protocols.http2.heads import MalformedError, read_head, read_trailers

Fields = list[tuple[bytes, bytes]]

LIMITS = Http1Limits(max_line_bytes=256, max_head_bytes=512, max_headers=5, max_body_bytes=1000)


def section(*fields: tuple[bytes, bytes], **pseudo: bytes | None) -> Fields:
    """Return the section of a GET of / with other pseudo-header fields (None: left out) and `fields`."""
    known: dict[str, bytes | None] = {"method": b"GET", "scheme": b"http", "path": b"/", "authority": b"a"}
    known |= pseudo
    return [(b":" + name.encode(), value) for name, value in known.items() if value is not None] + [*fields]


def test_the_authority_is_the_host() -> None:
    head = read_head(section((b"accept", b"*/*"), path=b"/x?y=1", authority=b"a:80"), LIMITS, ended=True)
    assert (head.method, head.target, head.version) == ("GET", "/x?y=1", "2")
    assert head.fields == [(b"host", b"a:80"), (b"accept", b"*/*")]
    assert head.framing is Framing.NONE


def test_a_host_does_in_the_place_of_the_authority_and_may_repeat_it() -> None:
    fields = [(b"x", b"1"), (b"host", b"A")]
    assert read_head(section(*fields, authority=None), LIMITS, ended=True).fields == fields
    assert read_head(section(*fields), LIMITS, ended=True).fields == [(b"host", b"a"), (b"x", b"1")]


def test_the_pieces_of_a_cookie_are_one_field() -> None:
    cookies = [(b"cookie", b"a=1"), (b"x", b"1"), (b"cookie", b"b=2")]
    joined = [(b"cookie", b"a=1; b=2"), (b"x", b"1")]
    assert read_head(section(*cookies), LIMITS, ended=True).fields == [(b"host", b"a"), *joined]
    head = read_head(section((b"host", b"a"), *cookies, authority=None), LIMITS, ended=True)
    assert head.fields == [(b"host", b"a"), *joined]


@pytest.mark.parametrize(
    ("fields", "ended", "framing", "length", "waits"),
    [
        ([], True, Framing.NONE, 0, False),
        ([(b"expect", b"100-continue")], True, Framing.NONE, 0, False),
        ([(b"content-length", b"0")], False, Framing.NONE, 0, False),
        ([(b"content-length", b"7")], False, Framing.LENGTH, 7, False),
        ([(b"content-length", b"7"), (b"expect", b"100-Continue")], False, Framing.LENGTH, 7, True),
        ([], False, Framing.CHUNKED, 0, False),
        ([(b"expect", b"100-continue")], False, Framing.CHUNKED, 0, True),
    ],
)
def test_a_body_follows_or_does_not(
    fields: Fields, ended: bool, framing: Framing, length: int, waits: bool
) -> None:
    head = read_head(section(*fields, method=b"POST"), LIMITS, ended=ended)
    assert (head.framing, head.length, head.expect_continue) == (framing, length, waits)


@pytest.mark.parametrize(
    "malformed",
    [
        section(method=None),
        section(path=None),
        section(scheme=None),
        section(method=b""),
        section(method=b"GE T"),
        section(method=b"G\r\nET"),
        section(scheme=b"ftp"),
        section(path=b""),
        section(path=b"a"),
        section(path=b"http://a/"),
        section(path=b"*"),
        section(path=b"/ HTTP/1.1\r\nX: y"),
        section(path=b"/a b"),
        section(path=b"/\xff"),
        section(path=b"/%0"),
        section(path=b"/<"),
        section(authority=b""),
        section(authority=b"u@a"),
        section(authority=b"a/b"),
        section(authority=None),
        section((b"host", b"b")),
        section((b"host", b"a"), (b"host", b"a")),
        section((b"host", b"a"), (b"host", b"a"), authority=None),
        section(protocol=b"websocket"),
        section(status=b"200"),
        [*section(), (b":method", b"GET")],
        [*section(method=None), (b"x", b"1"), (b":method", b"GET")],
        section((b"X", b"1")),
        section((b"", b"1")),
        section((b"a b", b"1")),
        section((b"a:", b"1")),
        section((b"a\n", b"1")),
        section((b"x", b"a\r\nb: c")),
        section((b"x", b"a\nb")),
        section((b"x", b"\0")),
        section((b"x", b" a")),
        section((b"x", b"a\t")),
        section((b"connection", b"close")),
        section((b"keep-alive", b"1")),
        section((b"proxy-connection", b"close")),
        section((b"transfer-encoding", b"chunked")),
        section((b"upgrade", b"h2c")),
        section((b"te", b"gzip")),
        section((b"content-length", b"x")),
        section((b"content-length", b"1"), (b"content-length", b"1")),
        section((b"content-length", b"1")),  # and no body
    ],
)
def test_what_is_malformed_is_refused_with_400(malformed: Fields) -> None:
    with pytest.raises(MalformedError) as refused:
        read_head(malformed, LIMITS, ended=True)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (section(method=b"CONNECT", scheme=None, path=None), 501),
        (section((b"content-length", b"1001")), 413),
        (section(path=b"/" + b"a" * 256), 414),
        (section((b"expect", b"coffee")), 417),
        (section((b"x", b"a" * 512)), 431),
        (section(*[(b"x%d" % number, b"1") for number in range(5)]), 431),
    ],
)
def test_what_is_not_served_is_refused_with_its_status(refused: Fields, status: int) -> None:
    with pytest.raises(RefusedError) as error:
        read_head(refused, LIMITS, ended=False)
    assert not isinstance(error.value, MalformedError)
    assert error.value.status == status


@pytest.mark.parametrize("fields", [[(b"te", b"Trailers")], [(b"x", b"")], [(b"x", b"a \t\xff b")]])
def test_fields_that_are_as_they_should_be(fields: Fields) -> None:
    assert read_head(section(*fields), LIMITS, ended=True).fields[1:] == fields


def test_options_may_ask_for_the_server() -> None:
    assert read_head(section(method=b"OPTIONS", path=b"*"), LIMITS, ended=True).target == "*"


def test_trailers() -> None:
    assert read_trailers([(b"x-sum", b"6")], LIMITS) == [(b"x-sum", b"6")]


@pytest.mark.parametrize(
    ("trailers", "status"),
    [
        ([(b":path", b"/")], 400),
        ([(b"content-length", b"1")], 400),
        ([(b"X", b"1")], 400),
        ([(b"x", b"1")] * 6, 431),
        ([(b"x", b"a" * 512)], 431),
    ],
)
def test_trailers_that_are_refused(trailers: Fields, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        read_trailers(trailers, LIMITS)
    assert refused.value.status == status
