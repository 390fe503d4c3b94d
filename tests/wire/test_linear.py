"""Reading takes linear time, whatever the bytes.

Times are the thread's CPU time, the best of several, and only ever compared with each other: eight times
the bytes must not take much more than eight times as long (quadratic time would take 64 times), and a head
made to be expensive not hundreds of times as long as an ordinary one of the same length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import pytest

from pierhead.protocols.http1 import Http1Limits
from pierhead.protocols.websocket import WebSocketCodec
from pierhead.protocols.websocket.deflate import negotiate
from tests.wire.reading import new_codec

# Wide enough for the whole of every head to be read.
LIMITS = Http1Limits(max_line_bytes=1 << 17, max_head_bytes=1 << 18, max_headers=100_000)
SMALL, LARGE = 8 << 10, 64 << 10
ROUNDS = 5
MOST_GROWTH = 8 * 5
MOST_TIMES_ORDINARY = 250

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a.example\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
Make = Callable[[int], bytes]


class Feeding(Protocol):
    """A codec."""

    def feed(self, data: bytes) -> object:
        """Read bytes."""
        ...


def repeat(before: bytes, unit: bytes, after: bytes = b"\r\n\r\n") -> Make:
    return lambda size: before + unit * (size // len(unit)) + after


ORDINARY = repeat(
    GET + b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\nCookie: ",
    b"session_id=8d1f0c2e9a7b; ",
)
HEADS: dict[str, Make] = {
    "a long value": repeat(GET + b"X: ", b"y"),
    "a long value with a control character at its end": repeat(GET + b"X: ", b"y", b"\x10\r\n\r\n"),
    "white space before a value": repeat(GET + b"X:", b" "),
    "white space after a value": repeat(GET + b"X: y", b" "),
    "tabs and spaces": repeat(GET + b"X: ", b"\t "),
    "white space before a colon": repeat(GET + b"X", b" ", b": y\r\n\r\n"),
    "white space after a watched value": repeat(GET + b"X-Request-Id: y", b" "),
    "white space after a host": repeat(b"GET / HTTP/1.1\r\nHost: a", b" "),
    "white space after a length": repeat(POST + b"Content-Length: 5", b" "),
    "small fields": repeat(GET, b"a:\r\n", b"\r\n"),
    "fields that begin like special ones": repeat(GET, b"X-Forwarded-Fo: y\r\nContent-Lengt: z\r\n", b"\r\n"),
    "special fields": repeat(GET, b"Connection: x\r\n", b"\r\n"),
    "fields to be wary of": repeat(GET, b"X-Forwarded-Host: y\r\n", b"\r\n"),
    "a watched field again and again": repeat(GET, b"X-Request-Id: y\r\n", b"\r\n"),
    "hosts": repeat(GET, b"Host: a\r\n", b"\r\n"),
    "a long name": repeat(GET, b"X", b": y\r\n\r\n"),
    "a name without end": repeat(GET, b"X", b""),
    "colons": repeat(GET + b"X", b":"),
    "folded lines": repeat(GET + b"X: y", b"\r\n z"),
    "carriage returns": repeat(GET + b"X: y", b"\r"),
    "a long method": repeat(b"", b"A", b" / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a long target": repeat(b"GET /", b"a", b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "escapes": repeat(b"GET /", b"%41", b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a bad escape at the end": repeat(b"GET /", b"%41", b"%4 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "slashes": repeat(b"GET /", b"/", b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "question marks": repeat(b"GET /", b"?", b"# HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an absolute target": repeat(b"GET http://", b"a.", b"/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an absolute target with colons": repeat(b"GET http://a", b":", b"/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a long host": repeat(b"GET / HTTP/1.1\r\nHost: ", b"a."),
    "a host of escapes": repeat(b"GET / HTTP/1.1\r\nHost: ", b"%41", b"%4\r\n\r\n"),
    "an address of colons": repeat(b"GET / HTTP/1.1\r\nHost: [", b":", b"]\r\n\r\n"),
    "an address of groups": repeat(b"GET / HTTP/1.1\r\nHost: [", b"1:", b"]\r\n\r\n"),
    "connection options": repeat(GET + b"Connection: ", b"a,"),
    "commas": repeat(GET + b"Connection: ", b", "),
    "codings": repeat(POST + b"Transfer-Encoding: ", b"chunked,"),
    "upgrades": repeat(GET + b"Connection: upgrade\r\nUpgrade: ", b"a,"),
    "expectations": repeat(POST + b"Expect: ", b"100-continue,", b"\r\nContent-Length: 1\r\n\r\n"),
    "digits of a length": repeat(POST + b"Content-Length: ", b"9"),
    "empty lines": repeat(b"", b"\r\n", b""),
    "zeros of a length": repeat(POST + b"Content-Length: ", b"0"),
}
BODIES: dict[str, Make] = {
    "tiny chunks": repeat(CHUNKED, b"1\r\nx\r\n", b"0\r\n\r\n"),
    "an extension": repeat(CHUNKED + b"5;a=", b"b", b"\r\n"),
    "extensions": repeat(CHUNKED + b"5", b";a=b", b"\r\n"),
    "extensions with white space": repeat(CHUNKED + b"5", b" ; a", b"!\x00\r\n"),
    "a quoted extension": repeat(CHUNKED + b'5;a="', b"\\\\", b'"\r\n'),
    "an open quote": repeat(CHUNKED + b'5;a="', b'\\"', b"\r\n"),
    "quotes": repeat(CHUNKED + b"5", b';a="b"', b'"\r\n'),
    "trailers": repeat(CHUNKED + b"0\r\n", b"a:\r\n", b"\r\n"),
    "a long trailer": repeat(CHUNKED + b"0\r\nX: ", b"y"),
}
ATTACKS = HEADS | BODIES


MASK = bytes(4)
FRAMES: dict[str, Make] = {
    "tiny messages": repeat(b"", b"\x81\x81" + MASK + b"x", b""),
    "empty messages": repeat(b"", b"\x82\x80" + MASK, b""),
    "pings": repeat(b"", b"\x89\x80" + MASK, b""),
    "tiny fragments": repeat(b"\x01\x80" + MASK, b"\x00\x81" + MASK + b"x", b""),
    "empty fragments": repeat(b"\x01\x80" + MASK, b"\x00\x80" + MASK, b""),
    "fragments and pings": repeat(b"\x02\x80" + MASK, b"\x00\x81" + MASK + b"x\x89\x80" + MASK, b""),
    "one large text": lambda size: b"\x81\xff" + (8 * size).to_bytes(8, "big") + MASK + b"x" * 8 * size,
    "one large text of other scripts": lambda size: (
        b"\x81\xff" + (8 * size).to_bytes(8, "big") + MASK + "ü".encode() * 4 * size
    ),
    "compressed messages": repeat(b"", b"\xc1\x87" + MASK + b"\xf2\x48\xcd\xc9\xc9\x07\x00", b""),
    "compressed nothing": repeat(b"\x41\x80" + MASK, b"\x00\x85" + MASK + b"\x00\x00\x00\xff\xff", b""),
}


def cost(data: bytes, step: int, new: Callable[[], Feeding] = lambda: new_codec(LIMITS)) -> float:
    """Return the CPU seconds it takes to read the bytes in pieces of `step`, the best of several times."""
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    best = float("inf")
    for _ in range(ROUNDS):
        codec = new()
        begun = time.thread_time()
        for piece in pieces:
            codec.feed(piece)
        best = min(best, time.thread_time() - begun)
    return best


def new_websocket() -> WebSocketCodec:
    deflate, _ = negotiate([b"permessage-deflate"])
    return WebSocketCodec(1 << 20, deflate)


@pytest.mark.parametrize("step", [1 << 20, 64], ids=["at once", "in small pieces"])
@pytest.mark.parametrize("kind", ATTACKS)
def test_eight_times_the_bytes_take_about_eight_times_as_long(kind: str, step: int) -> None:
    make = ATTACKS[kind]
    small, large = cost(make(SMALL), step), cost(make(LARGE), step)
    # What is refused at once costs next to nothing, and is measured by the clock's grain.
    assert large < MOST_GROWTH * max(small, 50e-6), (small, large)


def test_a_head_made_to_be_expensive_is_not_hundreds_of_times_an_ordinary_one() -> None:
    ordinary = cost(ORDINARY(LARGE), 1 << 20)
    times = {kind: cost(make(LARGE), 1 << 20) / ordinary for kind, make in HEADS.items()}
    assert {kind: ratio for kind, ratio in times.items() if ratio > MOST_TIMES_ORDINARY} == {}


def test_a_head_that_comes_byte_by_byte_is_looked_at_once() -> None:
    """Each byte that comes must not have the whole head read again."""
    small, large = (cost(ORDINARY(size), 1) for size in (2 << 10, 16 << 10))
    assert large < MOST_GROWTH * small, (small, large)


@pytest.mark.parametrize("step", [1 << 20, 64], ids=["at once", "in small pieces"])
@pytest.mark.parametrize("kind", FRAMES)
def test_eight_times_the_frames_take_about_eight_times_as_long(kind: str, step: int) -> None:
    small, large = (cost(FRAMES[kind](size), step, new_websocket) for size in (SMALL, LARGE))
    assert large < MOST_GROWTH * max(small, 50e-6), (small, large)
