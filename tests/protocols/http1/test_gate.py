"""The strict gate: what it refuses and with which status, and that the split of the bytes does not matter."""

from __future__ import annotations

import pytest

from pierhead.protocols.http1 import Data, Event, Framing, Http1Codec, Http1Limits, Refused, RequestHead

SMALL = Http1Limits(max_line_bytes=64, max_head_bytes=200, max_headers=5, max_body_bytes=1000)


def feed(data: bytes, *, limits: Http1Limits = SMALL, step: int = 0) -> list[Event]:
    """Feed `data` whole, or in pieces of `step` bytes, and return the events with Data joined."""
    codec = Http1Codec(limits)
    events: list[Event] = []
    for start in range(0, len(data), step or len(data) or 1):
        for event in codec.feed(data[start : start + (step or len(data))]):
            if isinstance(event, Data) and events and isinstance(events[-1], Data):
                events[-1] = Data(events[-1].data + event.data)
            else:
                events.append(event)
    return events


def status(data: bytes) -> int:
    """Return the status a request is refused with; the test fails if it is not refused."""
    last = feed(data)[-1]
    assert isinstance(last, Refused), last
    return last.status


def head(data: bytes) -> RequestHead:
    """Return the head of a request that must be accepted."""
    first = feed(data)[0]
    assert isinstance(first, RequestHead), first
    return first


HOST = b"Host: a.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST

ACCEPTED = {
    "the least": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "empty lines before": b"\r\n\r\n" + GET + b"\r\n",
    "a query": b"GET /a%20b?c=d&e={f}|^` HTTP/1.1\r\nHost: a\r\n\r\n",
    "a lone percent sign in the query": b"GET /?q=100% HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute-form": b"GET http://a.example:80/x?y HTTP/1.1\r\nHost: b\r\n\r\n",
    "absolute-form without a path": b"GET http://a.example HTTP/1.1\r\nHost: b\r\n\r\n",
    "asterisk-form": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown method": b"BREW /pot HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/1.0 without Host": b"GET / HTTP/1.0\r\n\r\n",
    "a higher minor version": b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
    "an IPv6 host": b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
    "a host with an underscore": b"GET / HTTP/1.1\r\nHost: my_app:8080\r\n\r\n",
    "white space around a value": GET + b"X: \t y \t\r\n\r\n",
    "an empty value": GET + b"X:\r\n\r\n",
    "obs-text in a value": GET + b"X: caf\xe9\r\n\r\n",
    "the most header lines": GET + b"A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n",
    "a body of known length": POST + b"Content-Length: 5\r\n\r\nhello",
    "a length of nothing": POST + b"Content-Length: 0\r\n\r\n",
    "a chunked body": POST + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "upper-case hex and leading zeros": POST
    + b"Transfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n0\r\n\r\n",
    "chunk extensions": POST + b'Transfer-Encoding: chunked\r\n\r\n1;a;b=c ; d = "\\"e;"\r\nx\r\n0;f\r\n\r\n',
    "trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n",
    "100-continue": POST + b"Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
}

REFUSED = {
    "bare LF": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "bare LF among the fields": (400, GET + b"X: y\nZ: z\r\n\r\n"),
    "bare CR": (400, GET + b"X: y\rZ: z\r\n\r\n"),
    "a CR before the end": (400, GET + b"\r\r\n\r\n"),
    "NUL": (400, GET + b"X: y\0z\r\n\r\n"),
    "a control character": (400, GET + b"X: y\x07\r\n\r\n"),
    "DEL": (400, GET + b"X: \x7f\r\n\r\n"),
    "a folded line": (400, GET + b"X: y\r\n z\r\n\r\n"),
    "a folded first line": (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    "a space before the colon": (400, GET + b"X : y\r\n\r\n"),
    "no colon": (400, GET + b"X\r\n\r\n"),
    "no name": (400, GET + b": y\r\n\r\n"),
    "a name that is no token": (400, GET + b"X(y): z\r\n\r\n"),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "no target": (400, b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    "two spaces": (400, b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a tab for a space": (400, b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a space at the end": (400, b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    "lower-case http": (400, b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    "a long version": (400, b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    "HTTP/2.0": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/0.1": (505, b"GET / HTTP/0.1\r\nHost: a\r\n\r\n"),
    "a method that is no token": (400, b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a relative target": (400, b"GET a/b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a fragment": (400, b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a backslash in the path": (400, b"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "angle brackets": (400, b"GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a byte over 127 in the target": (400, b"GET /caf\xe9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an escape that is none": (400, b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an escaped NUL": (400, b"GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "another scheme": (400, b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "userinfo": (400, b"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an escape that is none, absolute": (400, b"GET http://a/%z HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no authority": (400, b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "GET *": (400, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT": (501, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no Host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two Hosts": (400, GET + b"host: b\r\n\r\n"),
    "two Hosts in HTTP/1.0": (400, b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    "a Host with a path": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "a Host with userinfo": (400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    "a Host list": (400, b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    "a Host with a bad port": (400, b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    "Content-Length and Transfer-Encoding": (
        400,
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "two lengths": (400, POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    "a list of lengths": (400, POST + b"Content-Length: 5, 5\r\n\r\nhello"),
    "a signed length": (400, POST + b"Content-Length: +5\r\n\r\nhello"),
    "a negative length": (400, POST + b"Content-Length: -1\r\n\r\n"),
    "a hexadecimal length": (400, POST + b"Content-Length: 0x5\r\n\r\nhello"),
    "a length with an underscore": (400, POST + b"Content-Length: 1_0\r\n\r\n"),
    "an empty length": (400, POST + b"Content-Length:\r\n\r\n"),
    "a length over the limit": (413, POST + b"Content-Length: 1001\r\n\r\n"),
    "an absurd length": (413, POST + b"Content-Length: 99999999999999999999999\r\n\r\n"),
    "chunked in HTTP/1.0": (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two codings": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunked twice": (400, POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "chunked in two fields": (
        400,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "chunked not last": (400, POST + b"Transfer-Encoding: chunked, identity\r\n\r\n"),
    "an unknown coding": (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n"),
    "an empty coding": (400, POST + b"Transfer-Encoding:\r\n\r\n"),
    "a coding with a comma": (400, POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    "another expectation": (417, POST + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx"),
    "a long request line": (414, b"GET /" + b"a" * 60 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a request line without end": (414, b"GET /" + b"a" * 100),
    "a long head": (431, GET + b"X: " + b"y" * 200 + b"\r\n\r\n"),
    "a head without end": (431, GET + b"X: " + b"y" * 300),
    "many header lines": (431, GET + b"A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n"),
    "a chunk size that is none": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n5g\r\nhello\r\n0\r\n\r\n"),
    "an empty chunk size": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n\r\n"),
    "a signed chunk size": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size like 0x5": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size of 17 digits": (
        400,
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 17 + b"\r\n\r\n",
    ),
    "a space after the chunk size": (
        400,
        POST + b"Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
    ),
    "bare LF after the chunk size": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
    "bare LF after the chunk": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n"),
    "a chunk longer than its size": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhellox0\r\n\r\n"),
    "a CR without LF after the chunk": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\rx"),
    "a body over the limit": (413, POST + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n"),
    "a body slowly over the limit": (
        413,
        POST + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n1\r\n",
    ),
    "bare CR in a chunk extension": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n1;a\rb\r\nx\r\n"),
    "a long size line": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 80 + b"\r\nx\r\n"),
    "a size line without end": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 80),
    "chunk extensions without end": (
        400,
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1;" + b"a" * 50 + b"\r\nx\r\n") * 5,
    ),
    "a forbidden trailer": (
        400,
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    ),
    "a folded trailer": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n"),
    "bare LF in the trailers": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n\r\n"),
    "many trailers": (
        431,
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 6 + b"\r\n",
    ),
    "long trailers": (431, POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"b" * 200 + b"\r\n\r\n"),
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_accepts(data: bytes) -> None:
    assert not [event for event in feed(data) if isinstance(event, Refused)]


@pytest.mark.parametrize(("expected", "data"), REFUSED.values(), ids=REFUSED)
def test_refuses(expected: int, data: bytes) -> None:
    assert status(data) == expected


@pytest.mark.parametrize("data", [*ACCEPTED.values(), *(data for _, data in REFUSED.values())])
def test_the_split_of_the_bytes_does_not_matter(data: bytes) -> None:
    whole = feed(data)
    for step in range(1, min(len(data), 80)):
        pieces = feed(data, step=step)
        # A body may be delivered before its framing turns out wrong; the verdict is the same.
        assert pieces[-1] == whole[-1]
        if not isinstance(whole[-1], Refused):
            assert pieces == whole


@pytest.mark.parametrize(
    ("tail", "expected"),
    [(b"\r\n", 8), (b"a\r\n", 414), (b"\rb", 400), (b"\0", 400), (b"\n", 400)],
)
def test_the_first_byte_that_is_wrong_decides(tail: bytes, expected: int) -> None:
    """At the border of the line limit every split must find the same fault first."""
    line = b"GET /" + b"a" * (64 - 5 - 9) + b" HTTP/1.1"
    data = line + tail + (HOST + b"\r\n" if expected == 8 else b"")
    for step in range(1, len(data) + 1):
        event = feed(data, step=step)[-1]
        assert (event.status if isinstance(event, Refused) else 8) == expected


def test_every_place_at_the_border_of_the_head_limit() -> None:
    """A fault near byte 200 gets one verdict however the bytes come."""
    for length in range(150, 175):
        for fault in (b"\r\n\r\n", b"\rx", b"\n", b"\0", b"yyyyyyyy"):
            data = GET + b"X: " + b"y" * length + fault + b"z"
            verdicts = {repr(feed(data, step=step)[-1:]) for step in (1, 2, 3, 7, len(data))}
            assert len(verdicts) == 1, (length, fault, verdicts)


def test_keep_alive_is_the_default_of_http_1_1_only() -> None:
    assert head(GET + b"\r\n").keep_alive
    assert not head(GET + b"Connection: foo, Close\r\n\r\n").keep_alive
    assert not head(b"GET / HTTP/1.0\r\n\r\n").keep_alive
    assert head(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive
    assert not head(b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive


def test_upgrade_counts_only_beside_connection_upgrade() -> None:
    assert head(GET + b"Connection: Upgrade\r\nUpgrade: WebSocket, foo\r\n\r\n").upgrade == (
        "websocket",
        "foo",
    )
    assert head(GET + b"Upgrade: websocket\r\n\r\n").upgrade == ()
    assert head(b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade == ()
    with_body = POST + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx"
    assert head(with_body).upgrade == ()


def test_an_expectation_counts_only_with_a_body_and_in_http_1_1() -> None:
    assert head(POST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n").expect_continue
    assert not head(POST + b"Expect: 100-continue\r\n\r\n").expect_continue
    assert not head(b"POST / HTTP/1.0\r\nExpect: foo\r\nContent-Length: 1\r\n\r\nx").expect_continue


def test_fields_keep_their_order_and_case() -> None:
    request = head(GET + b"X-One:  1 \r\nx-two:2\r\n\r\n")
    assert request.fields == [(b"Host", b"a.example"), (b"X-One", b"1"), (b"x-two", b"2")]
    assert request.framing is Framing.NONE


def test_no_more_than_a_few_empty_lines_come_before_a_request() -> None:
    assert status(b"\r\n" * 5 + GET + b"\r\n") == 400


def test_an_expectation_may_be_named_twice_or_not_at_all() -> None:
    assert head(POST + b"Expect: 100-continue, 100-continue\r\nContent-Length: 1\r\n\r\nx").expect_continue
    assert not head(POST + b"Expect:\r\nContent-Length: 1\r\n\r\nx").expect_continue
