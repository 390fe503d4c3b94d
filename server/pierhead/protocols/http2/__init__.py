"""HTTP/2 (RFC 9113) on the `h2` library: what is allowed in front of it, and requests as HTTP/1 has them.

Import it only where HTTP/2 is spoken: the library is optional, and takes a while to load.
"""

from __future__ import annotations

from pierhead.protocols.http2.codec import Http2Codec
from pierhead.protocols.http2.events import Began, Failed, Http2Event, Quiet, Reset, StreamEvent
from pierhead.protocols.http2.stream import StreamCodec

__all__ = [
    "Began",
    "Failed",
    "Http2Codec",
    "Http2Event",
    "Quiet",
    "Reset",
    "StreamCodec",
    "StreamEvent",
]
