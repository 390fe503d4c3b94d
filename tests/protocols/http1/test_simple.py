"""The fast path: what is simple, what is picked out of it, and that the gate agrees with every bit of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols.http1 import Framing, Http1Limits, SimpleHeads
from pierhead.protocols.http1.gate import RefusedError, parse_head

LIMITS = Http1Limits(max_line_bytes=4096, max_headers=8, max_body_bytes=1000)
WATCHED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id", b"cookie")
HEADS = SimpleHeads(LIMITS, WATCHED, wary=(b"x-forwarded", b"forwarded", b"proxy"))


def head(*lines: str, line: str = "GET /a?b=c HTTP/1.1") -> bytes:
    return "".join(f"{each}\r\n" for each in (line, *lines, "")).encode("latin-1")


def test_a_simple_head_is_read_with_what_is_watched() -> None:
    data = head(
        "Host: a.example:80",
        "User-Agent: b",
        "X-Request-Id:  7 ",
        "connection: Keep-Alive",
        "x-forwarded-for: 1.2.3.4, 5.6.7.8",
    )
    read = HEADS.read(data + b"GET /next")
    assert read is not None
    request, end = read
    assert end == len(data)
    assert (request.method, request.target, request.version) == ("GET", "/a?b=c", "1.1")
    assert request.host == b"a.example:80"
    assert request.watched == (b"1.2.3.4, 5.6.7.8", None, b"7 ", None)
    assert request.fields[1] == (b"User-Agent", b"b")
    assert request.framing is Framing.NONE


def test_a_body_of_known_length_is_simple() -> None:
    read = HEADS.read(head("Host: a", "Content-Length: 007"))
    assert read is not None
    assert (read[0].framing, read[0].length) == (Framing.LENGTH, 7)
    read = HEADS.read(head("Host: a", "Content-Length: 0"))
    assert read is not None
    assert read[0].framing is Framing.NONE


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(head("Host: a")[:-1], id="incomplete"),
        pytest.param(head(), id="no Host"),
        pytest.param(head("Host: a", "Host: a"), id="two Hosts"),
        pytest.param(head("Host:"), id="an empty Host"),
        pytest.param(head("Host: a b"), id="no Host at all"),
        pytest.param(head("Host: a%41"), id="a Host with escapes"),
        pytest.param(head("Host: [::1]"), id="an IPv6 address"),
        pytest.param(head("Host: a", line="GET / HTTP/1.0"), id="HTTP/1.0"),
        pytest.param(head("Host: a", line="GET http://a/ HTTP/1.1"), id="absolute-form"),
        pytest.param(head("Host: a", line="OPTIONS * HTTP/1.1"), id="asterisk-form"),
        pytest.param(head("Host: a", line="CONNECT /a HTTP/1.1"), id="CONNECT"),
        pytest.param(head("Host: a", line="GET /%0g HTTP/1.1"), id="a bad escape"),
        pytest.param(head("Host: a", line="GET /%00 HTTP/1.1"), id="NUL in the path"),
        pytest.param(head("Host: a", line="GET /#a HTTP/1.1"), id="a fragment"),
        pytest.param(head("Host: a", "Connection: close"), id="close"),
        pytest.param(head("Host: a", "Connection: keep-alive, upgrade"), id="several options"),
        pytest.param(head("Host: a", "Transfer-Encoding: chunked"), id="chunked"),
        pytest.param(head("Host: a", "EXPECT: 100-continue"), id="an expectation"),
        pytest.param(head("Host: a", "upgrade: websocket"), id="an upgrade"),
        pytest.param(head("Host: a", "Content-Length: 1", "Content-Length: 1"), id="two lengths"),
        pytest.param(head("Host: a", "Content-Length: +1"), id="no length"),
        pytest.param(head("Host: a", "Content-Length: 1001"), id="too long a body"),
        pytest.param(head("Host: a", "Content-Length: " + "1" * 19), id="too long a length"),
        pytest.param(head("Host: a", "Cookie: a", "Cookie: b"), id="a watched field twice"),
        pytest.param(head("Host: a", "X-Forwarded-Host: a"), id="a field to be wary of"),
        pytest.param(head("Host: a", "Forwarded: for=a"), id="another"),
        pytest.param(head("Host: a", "A: b\r\n c"), id="a folded line"),
        pytest.param(head("Host: a", "A : b"), id="a blank before the colon"),
        pytest.param(head("Host: a", "A: \x01"), id="a control character"),
        pytest.param(head("Host: a", *["A: b"] * 8), id="too many fields"),
        pytest.param(head("Host: a", "A: " + "b" * 4096), id="longer than is looked at"),
    ],
)
def test_everything_else_is_for_the_gate(data: bytes) -> None:
    assert HEADS.read(data) is None


def test_names_that_only_begin_like_special_ones_are_simple() -> None:
    names = [
        "Hosts",
        "Connections",
        "Content-Type",
        "Expecting",
        "Tea",
        "Up",
        "X-Request-Ids",
        "Cookies",
        "X",
    ]
    for name in names:
        read = HEADS.read(head("Host: a", f"{name}: b"))
        assert read is not None, name
        assert read[0].watched == (None,) * 4


def test_with_nothing_watched_nothing_is_picked_out() -> None:
    read = SimpleHeads(LIMITS).read(head("Host: a", "X-Request-Id: 1"))
    assert read is not None
    assert read[0].watched == ()


# fmt: off
names = st.sampled_from([
    "Host", "HOST", "X-Forwarded-For", "x-forwarded-proto", "X-Request-Id", "Cookie", "cookie2",
    "A", "Accept", "Content-Length", "Content-Type", "Connection", "Upgrade", "Transfer-Encoding",
    "Expect", "Te", "Proxy",
])
# fmt: on
values = st.sampled_from(
    ["a", "a:80", "7", "keep-alive", "close", "", " b ", "\xff", "\x7f", "a\tb", "[::1]:1"]
)
lines = st.lists(st.tuples(names, values).map(": ".join), max_size=6)
request_lines = st.sampled_from(
    ["GET / HTTP/1.1", "POST /%41?% HTTP/1.1", "GET /a%00 HTTP/1.1", "M-S / HTTP/1.1", "GET /[x]|y HTTP/1.1"]
)


@given(request_lines, lines, st.sampled_from(["", "Host: b"]))
def test_what_is_simple_the_gate_reads_the_same(line: str, fields: list[str], host: str) -> None:
    data = head(*([host] if host else []), *fields, line=line)
    read = HEADS.read(data)
    if read is None:
        return
    request, end = read
    assert end == len(data)
    try:
        expected = parse_head(data, LIMITS)
    except RefusedError as refused:
        pytest.fail(f"the gate refuses it: {refused.reason}")
    for name in ("method", "target", "version", "section", "framing", "length", "keep_alive", "upgrade"):
        assert getattr(request, name) == getattr(expected, name), name
    assert not expected.expect_continue
    by_name: dict[bytes, list[bytes]] = {}
    for field, value in expected.fields:
        by_name.setdefault(field.lower(), []).append(value)
    assert by_name[b"host"] == [request.host]
    assert request.watched is not None
    for watched, picked in zip(WATCHED, request.watched, strict=True):
        assert by_name.get(watched, []) == ([] if picked is None else [picked.rstrip(b"\t ")])
