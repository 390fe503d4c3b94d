"""Reads raw bytes as a connection does, by the codec alone, and says what an application would see."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable

from pierhead.forwarded import WARY, WATCHED
from pierhead.protocols.http1 import (
    Data,
    End,
    Event,
    Framing,
    Http1Codec,
    Http1Limits,
    Refused,
    RequestHead,
    SimpleHeads,
)
from tests.wire.corpus import Expected

__all__ = ["LIMITS", "Reading", "Seen", "new_codec", "read", "read_with", "same"]

LIMITS = Http1Limits()
RawFields = tuple[tuple[bytes, bytes], ...]


@functools.cache
def _simple_heads(limits: Http1Limits) -> SimpleHeads:
    return SimpleHeads(limits, [*WATCHED, b"x-request-id"], WARY)


def new_codec(limits: Http1Limits = LIMITS) -> Http1Codec:
    """Make a codec as the server makes it."""
    return Http1Codec(limits, _simple_heads(limits))


@dataclasses.dataclass
class Seen:
    """A request as the codec reports it."""

    method: str
    target: str
    version: str
    headers: RawFields
    keep_alive: bool
    expect_continue: bool
    upgrade: tuple[str, ...]
    body: bytes = b""
    trailers: RawFields = ()


@dataclasses.dataclass
class Reading:
    """All that the codec makes of a connection's bytes."""

    requests: list[Seen] = dataclasses.field(default_factory=list)
    """The requests that are whole."""
    begun: str = ""
    """Method and target of the one that is not."""
    refused: tuple[int, str] | None = None
    """Status and reason, after which nothing is read."""
    at_end: bool = False
    """Whether it was refused for the connection's end, and not before."""


def read(pieces: Iterable[bytes], *, switching: bool = False, limits: Http1Limits = LIMITS) -> Reading:
    """Feed the pieces, then the end of the connection; each request is answered once it is whole.

    With `switching` an upgrade to WebSocket is accepted, after which the bytes are another protocol's.
    """
    return read_with(new_codec(limits), pieces, switching=switching)


def read_with(codec: Http1Codec, pieces: Iterable[bytes], *, switching: bool = False) -> Reading:
    """Feed a codec; otherwise as `read`."""
    reading = Reading()
    for piece in pieces:
        if not _take(codec, codec.feed(piece), reading, switching=switching):
            return reading
    reading.at_end = True
    _take(codec, codec.feed_eof(), reading, switching=switching)
    return reading


def same(seen: Seen, expected: Expected) -> bool:
    """Compare what was seen with what a case asks for."""
    return (
        (seen.method, seen.version, seen.keep_alive)
        == (expected.method, expected.version, expected.keep_alive)
        and (seen.expect_continue, seen.upgrade) == (expected.expect_continue, expected.upgrade)
        and (len(seen.target) == expected.target_bytes or seen.target == expected.target)
        and (expected.headers is None or seen.headers == expected.headers)
        and (len(seen.body) == expected.body_bytes if expected.body_bytes else seen.body == expected.body)
        and (len(seen.trailers) == expected.trailers_count or seen.trailers == expected.trailers)
    )


def _take(codec: Http1Codec, events: list[Event], reading: Reading, *, switching: bool) -> bool:
    """Add what the events say, and those of the requests behind; False where nothing more is read."""
    while True:
        for event in events:
            if isinstance(event, RequestHead):
                current = Seen(
                    event.method,
                    event.target,
                    event.version,
                    tuple(event.fields),
                    event.keep_alive,
                    event.expect_continue,
                    event.upgrade,
                )
                reading.requests.append(current)
                reading.begun = f"{event.method} {event.target}" if event.framing is not Framing.NONE else ""
            elif isinstance(event, Data):
                reading.requests[-1].body += event.data
            elif isinstance(event, End):
                reading.requests[-1].trailers = tuple(event.trailers)
                reading.begun = ""
            elif isinstance(event, Refused):
                reading.refused = (event.status, event.reason)
        if reading.refused is not None:
            if reading.begun:
                reading.requests.pop()  # it never became whole
            return False
        if not codec.request_complete:
            return True
        if not codec.keep_alive or (switching and "websocket" in reading.requests[-1].upgrade):
            return False
        events = codec.next_request()
