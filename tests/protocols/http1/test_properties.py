"""Properties over generated and mutated requests: what the gate accepts, h11 accepts and reads the same."""

from __future__ import annotations

import re

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from pierhead.protocols.http1 import Data, End, Event, Framing, Http1Codec, Http1Limits, Refused, RequestHead
from pierhead.protocols.http1.events import RawFields

TCHARS = b"!#$%&'*+-.^_`|~0123456789abcXYZ"
LIMITS = Http1Limits(max_body_bytes=10_000)

tokens = st.lists(st.sampled_from(TCHARS), min_size=1, max_size=8).map(bytes)
values = st.binary(max_size=12).map(lambda raw: bytes(b for b in raw if (b >= 0x20 and b != 0x7F) or b == 9))
targets = st.one_of(
    st.text("abc/%20?&=-._~", max_size=12).map(lambda text: b"/" + text.encode()),
    st.sampled_from([b"*", b"http://h/x", b"http://h:80", b"x", b"//"]),
)
special = st.sampled_from(
    [
        (b"Host", b"a"),
        (b"Host", b"a:80"),
        (b"Connection", b"close"),
        (b"Connection", b"keep-alive, upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Content-Length", b"0"),
        (b"Content-Length", b"3"),
        (b"content-length", b"03"),
        (b"Transfer-Encoding", b"chunked"),
        (b"transfer-encoding", b"CHUNKED"),
        (b"Expect", b"100-continue"),
    ]
)
fields = st.lists(st.one_of(st.tuples(tokens, values), special), max_size=6)
bodies = st.sampled_from(
    [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n", b"0\r\n\r\n"]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is often valid: generated from the grammar, sometimes with bytes changed."""
    method = draw(st.sampled_from([b"GET", b"POST", b"OPTIONS", b"M-SEARCH"]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    lines = [b"%b %b HTTP/%b" % (method, draw(targets), version)]
    if draw(st.integers(0, 9)):
        lines.append(b"Host: example")
    lines += [b"%b: %b" % field for field in draw(fields)]
    data = bytearray(b"\r\n".join(lines) + b"\r\n\r\n" + draw(bodies))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(data) - 1))
        change = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\0", b" ", b"\t", b":", b",", b";", b"\x80", b"0"])
        )
        data[place : place + draw(st.integers(0, 1))] = change
        if not data:
            break
    return bytes(data) or b"G"


def read(data: bytes) -> list[Event]:
    """Read one request."""
    return Http1Codec(LIMITS).feed(data)


def judged(data: bytes) -> tuple[bytes, bytes, RawFields, bytes]:
    """Return method, target, fields and body as h11 alone reads them; h11's errors pass."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return request.method, request.target, list(request.headers.raw_items()), body


@settings(max_examples=1500, deadline=None)
@given(requests())
def test_what_is_accepted_h11_accepts_with_the_same_result(data: bytes) -> None:
    events = read(data)
    head = events[0] if events else None
    if not isinstance(head, RequestHead) or isinstance(events[-1], Refused):
        return
    if head.framing is not Framing.NONE and not isinstance(events[-1], End):
        return
    # h11 refuses the white space that may stand before a chunk extension (RFC 9112, 7.1.1).
    method, target, raw, body = judged(re.sub(rb"(?m)^([03])[ \t]+;", rb"\1;", data.lstrip(b"\r\n")))
    assert (method.decode(), target.decode()) == (head.method, head.target)
    assert [(name, value.lower()) for name, value in raw] == [
        (name, value.lower()) for name, value in head.fields
    ]
    assert body == b"".join(event.data for event in events if isinstance(event, Data))


@settings(max_examples=500, deadline=None)
@given(requests(), st.data())
def test_the_split_does_not_change_the_verdict(data: bytes, draw: st.DataObject) -> None:
    whole = read(data)
    codec = Http1Codec(LIMITS)
    cut = draw.draw(st.integers(0, len(data)))
    pieces = codec.feed(data[:cut]) + codec.feed(data[cut:])
    without_data = [event for event in whole if not isinstance(event, Data)]
    assert [event for event in pieces if not isinstance(event, Data)] == without_data


@settings(max_examples=300, deadline=None)
@given(tokens, st.lists(st.tuples(tokens.map(lambda name: b"x-" + name), values), max_size=5))
def test_rendering_what_was_parsed_gives_the_same_bytes(method: bytes, extra: RawFields) -> None:
    stripped = [(name, value.strip(b"\t ")) for name, value in extra]
    rendered = b"%b / HTTP/1.1\r\nHost: a\r\n" % method
    rendered += b"".join(b"%b: %b\r\n" % field for field in stripped) + b"\r\n"
    if method == b"CONNECT":
        return
    (head,) = read(rendered)
    assert isinstance(head, RequestHead)
    again = f"{head.method} {head.target} HTTP/{head.version}\r\n".encode()
    again += b"".join(b"%b: %b\r\n" % field for field in head.fields) + b"\r\n"
    assert again == rendered


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_crash_the_codec(data: bytes) -> None:
    codec = Http1Codec(LIMITS)
    codec.feed(data)
    codec.feed_eof()
