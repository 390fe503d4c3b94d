"""What the HTTP/2 codec says about the bytes it was fed."""

from __future__ import annotations

import dataclasses

from pierhead.protocols.http1.events import Data, End, Refused, RequestHead
from pierhead.protocols.http2.stream import StreamCodec

__all__ = ["Began", "Failed", "Http2Event", "Quiet", "Reset", "StreamEvent"]


@dataclasses.dataclass(slots=True)
class Began:
    """A stream was opened; its request, or why it is none that is served here."""

    stream: StreamCodec
    head: RequestHead | Refused


@dataclasses.dataclass(slots=True)
class StreamEvent:
    """What follows of a request: a piece of its body, its end, or why the rest does not count."""

    stream_id: int
    event: Data | End | Refused


@dataclasses.dataclass(frozen=True, slots=True)
class Reset:
    """A stream is over before its time: nothing more comes, and nothing more can be sent."""

    stream_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class Quiet:
    """The client knows that it is to open no more streams: the answer to `Http2Codec.announce_end`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """The client has broken the protocol, or asks too much: the connection ends with the next output."""

    code: str
    """The error code's name, as ENHANCE_YOUR_CALM (RFC 9113, 7)."""
    reason: str


Http2Event = Began | StreamEvent | Reset | Quiet | Failed
