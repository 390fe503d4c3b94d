"""HTTP/1.1 and HTTP/1.0 (RFC 9112): a strict gate in front of h11, and the rendering of responses."""

from __future__ import annotations

from pierhead.protocols.http1.codec import Http1Codec
from pierhead.protocols.http1.events import (
    Data,
    End,
    Event,
    Framing,
    Http1Limits,
    Http2Preface,
    Refused,
    RequestHead,
    split_fields,
)
from pierhead.protocols.http1.render import ResponseError
from pierhead.protocols.http1.simple import SimpleHeads

__all__ = [
    "Data",
    "End",
    "Event",
    "Framing",
    "Http1Codec",
    "Http1Limits",
    "Http2Preface",
    "Refused",
    "RequestHead",
    "ResponseError",
    "SimpleHeads",
    "split_fields",
]
