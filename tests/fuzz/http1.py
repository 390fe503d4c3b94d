"""What must hold for any bytes that are sent to the HTTP/1 codec; `check` is the fuzz target.

- Nothing but refusals comes of what is malformed.
- What the fast path takes for a simple head, the gate takes too, and reads the same.
- What is accepted, h11 accepts, with equal method, target, fields, body and trailers.
- The split of the bytes does not matter.
- What was read, rendered again, is read the same.
"""

from __future__ import annotations

import re

import h11

from pierhead.protocols.http1 import Http1Codec, Http1Limits, RequestHead, SimpleHeads
from tests.wire.reading import Reading, Seen, read, read_with

__all__ = ["LIMITS", "check"]

LIMITS = Http1Limits(max_line_bytes=1000, max_head_bytes=3000, max_headers=20, max_body_bytes=5000)
# h11 refuses the white space that may stand before a chunk extension (RFC 9112, 7.1.1).
_SPACE_BEFORE_EXTENSION = re.compile(rb"(?m)^([0-9A-Fa-f]{1,16})[ \t]+(?=;)")


class _Never(SimpleHeads):
    """Knows no simple heads: all go through the gate."""

    def read(self, data: bytes | bytearray, start: int = 0) -> tuple[RequestHead, int] | None:
        """Return None."""
        return None


_NEVER = _Never(LIMITS)


def check(data: bytes, cut: int = 0) -> Reading:
    """Raise AssertionError, or whatever the codec raises, where something does not hold for these bytes.

    `cut` is where they are split. Returns what was read.
    """
    reading = read([data], limits=LIMITS)
    assert read([data[:cut], data[cut:]], limits=LIMITS) == reading, "the split matters"
    gate_alone = read_with(Http1Codec(LIMITS, _NEVER), [data])
    assert gate_alone == reading, "the fast path reads something else than the gate"
    rest = data
    for seen in reading.requests:
        rest = _judge(seen, rest)
        (again,) = read([_render(seen)], limits=LIMITS).requests
        assert again == seen, "rendered again it is read otherwise"
    return reading


def _judge(seen: Seen, data: bytes) -> bytes:
    """Have h11 read one request; returns the bytes behind it."""
    while data.startswith(b"\r\n"):
        data = data[2:]
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(_SPACE_BEFORE_EXTENSION.sub(rb"\1", data))
    request = connection.next_event()
    assert isinstance(request, h11.Request), request
    assert (request.method.decode(), request.target.decode()) == (seen.method, seen.target)
    names = [(name, _value(name, value)) for name, value in request.headers.raw_items()]
    assert names == [(name, _value(name, value)) for name, value in seen.headers]
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage), event
    assert body == seen.body
    assert tuple(event.headers.raw_items()) == seen.trailers
    return connection.trailing_data[0]


def _value(name: bytes, value: bytes) -> bytes:
    """h11 writes the name of the coding in lower case."""
    return value.lower() if name.lower() == b"transfer-encoding" else value


def _render(seen: Seen) -> bytes:
    lines = [f"{seen.method} {seen.target} HTTP/{seen.version}".encode()]
    lines += [b"%b: %b" % field for field in seen.headers]
    head = b"\r\n".join([*lines, b"", b""])
    if not any(name.lower() == b"transfer-encoding" for name, _ in seen.headers):
        return head + seen.body
    chunk = b"%x\r\n%b\r\n" % (len(seen.body), seen.body) if seen.body else b""
    return head + chunk + b"0\r\n" + b"".join(b"%b: %b\r\n" % field for field in seen.trailers) + b"\r\n"
