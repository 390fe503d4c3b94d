"""An HTTP/2 codec and a client of it, joined in memory."""

from __future__ import annotations

from h2.errors import ErrorCodes
from hyperframe.frame import (
    Frame,
)

from pierhead.protocols.http1 import Http1Limits
from pierhead.protocols.http2 import (
    Began,
    Failed,
    Http2Codec,
    Http2Event,
    StreamCodec,
)
from tests.http2peer import Peer


class Pair:
    """A codec and a client of it."""

    def __init__(self, *, window: int | None = None, max_streams: int = 100, **limits: int) -> None:
        self.codec = Http2Codec(Http1Limits(**limits), max_streams=max_streams)
        self.peer = Peer(window=window)
        assert self.say() == []
        assert self.say() == []  # the settings are acknowledged

    def say(self, room: int = 1 << 20) -> list[Http2Event]:
        """Bring to the codec what the client has to send, and back what it answers, up to `room` bytes."""
        events = self.codec.feed(self.peer.out())
        self.peer.receive(self.codec.take_output(room))
        return events

    def ask(self, path: str = "/", method: str = "GET", body: bytes | None = None) -> StreamCodec:
        """Send a request; returns its stream."""
        self.peer.request(path, method=method, body=body)
        began, *_ = self.say()
        assert isinstance(began, Began)
        return began.stream

    def answer(self, stream: StreamCodec, room: int = 1 << 20) -> None:
        """Send what a stream has rendered."""
        self.codec.commit(stream)
        self.peer.receive(self.codec.take_output(room))

    def fails(self, *frames: Frame | bytes) -> Failed:
        """Send frames with which the connection ends."""
        self.peer.raw(*frames)
        *_, failed = self.say()
        assert isinstance(failed, Failed)
        assert self.codec.feed(b"more") == []
        (goaway,) = self.peer.goaways
        assert ErrorCodes(goaway.error_code).name == failed.code
        return failed
