"""HTTP/2 on a connection that began as one of HTTP/1: its streams, their deadlines and its end.

The connection reads and writes as it did; what comes goes to an `Http2Codec`, and each of its streams has an
exchange of its own (see `http2stream`). Import it only where HTTP/2 is spoken: it loads the `h2` library.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes

from pierhead.log import facts
from pierhead.messages.response import Response
from pierhead.protocols.http1 import Refused
from pierhead.protocols.http2 import Began, Failed, Http2Codec, Http2Event, Quiet, Reset, StreamCodec
from pierhead.transports.http2stream import Http2Stream

if TYPE_CHECKING:
    from pierhead.messages.request import Request
    from pierhead.transports.connection import HttpConnection

__all__ = ["Http2Shell"]

logger = logging.getLogger("pierhead.http2")

_PIECE_BYTES = 64 << 10  # of bodies in one write, all streams together
_MOST_UNREAD_BYTES = 256 << 10  # of answers to a client that reads none of them
_MOST_QUEUED_BYTES = 32 << 20  # of responses that a client has no room for, until its next request is refused
_LEAST_PROGRESS_BYTES = 16 << 10  # of each response, in write_timeout_s
_QUIET_S = 2.0  # for a client to hear that it is to open no more streams


class Http2Shell:
    """Serves the streams of one connection; implements `pierhead.transports.upgraded.Upgraded`."""

    def __init__(self, connection: HttpConnection) -> None:
        self.connection = connection
        self.server = connection.server
        self.limits = limits = connection.limits
        self.codec = Http2Codec(limits.heads, max_streams=limits.settings.max_http2_streams)
        self.streams: dict[int, Http2Stream] = {}
        """The streams whose exchange goes on, by their number."""
        self.waiting: set[Http2Stream] = set()
        """Those whose exchange waits for the client to take what it was sent."""
        self._owed: dict[int, tuple[float, int]] = {}  # until when each is to have sent how many bytes
        self._feeding = False
        self._over = False
        self._ends = False  # whether the client was told that the connection ends
        self._quiet_deadline = math.inf
        self._deadline = math.inf
        self._frames = -1  # how many were complete when the deadline was set for the next to be
        self._wait()
        self.flush()

    # What the connection calls

    @property
    def requests(self) -> Iterable[Request]:
        """The requests that are being answered."""
        return [stream.request for stream in self.streams.values() if stream.request is not None]

    def data_received(self, data: bytes) -> None:
        """Feed the codec; what is answered at once leaves together."""
        if self._over:
            return
        self._feeding = True
        try:
            for event in self.codec.feed(data):
                self._act(event)
        finally:
            self._feeding = False
        self.flush()
        self._wait()

    def eof_received(self) -> None:
        """Take the end of what the client sends for its leaving."""

    def connection_lost(self) -> None:
        """Tell everybody who waits for the client."""
        self._over = True
        for stream in list(self.streams.values()):
            stream.disconnected()

    def writable(self) -> None:
        """Go on writing."""
        self.flush()
        self.connection.set_reading(True)

    def tick(self, now: float) -> None:
        """Act on deadlines that have passed."""
        if self._over:
            return
        self.codec.tick()
        for stream in list(self.streams.values()):
            stream.tick(now)
        if self.codec.streams:
            self._check_progress(now)
        if now >= self._quiet_deadline:
            self._settle()
        if now >= self._deadline:  # nothing happens, or what has begun is not completed
            self._deadline = math.inf
            self.codec.end()
            self.flush()
            self._over = True
        self.flush()

    def go_away(self, code: int) -> None:
        """Have the client open no more streams; those in progress are finished."""
        del code  # is for WebSockets
        if not self._ends:
            self._ends = True
            self._quiet_deadline = self.server.now + _QUIET_S
            self.codec.announce_end()
            for stream in list(self.streams.values()):
                stream.wind_down()
            self.flush()

    # What streams call

    def flush(self) -> None:
        """Write what there is to be written and the client has room for."""
        connection = self.connection
        if self._feeding or connection.lost or connection.transport.is_closing():
            return
        while True:
            data = self.codec.take_output(0 if connection.congested else _PIECE_BYTES)
            if not data:
                break
            connection.write(data)
        for stream in list(self.waiting):
            stream.update()
        self._finish()
        if (
            not self._over
            and connection.congested
            and connection.transport.get_write_buffer_size() > _MOST_UNREAD_BYTES
        ):
            connection.set_reading(False)

    def commit(self, stream: StreamCodec) -> None:
        """Write what a stream has rendered."""
        self.codec.commit(stream)
        self.flush()

    def reset(self, stream: StreamCodec, code: ErrorCodes) -> None:
        """End a stream before its response is complete."""
        self.codec.reset(stream, code)
        self.flush()

    def consumed(self, stream: StreamCodec, size: int) -> None:
        """Have the client send as much of a request's body as was read."""
        if self.codec.consumed(stream, size):
            self.flush()

    def ended(self, stream_id: int) -> None:
        """Forget a stream whose exchange is over."""
        self.streams.pop(stream_id, None)
        self._wait()
        self._finish()

    # Inside

    def _act(self, event: Http2Event) -> None:
        if isinstance(event, Began):
            self._begin(event)
        elif isinstance(event, Reset):
            self._lose(event.stream_id)
        elif isinstance(event, Quiet):
            self._settle()
        elif isinstance(event, Failed):
            self._over = True
            level = logging.WARNING if event.code == "ENHANCE_YOUR_CALM" else logging.INFO
            host = self.connection.client.host
            reason = f"{event.code}: {event.reason}"
            logger.log(
                level,
                "closed an HTTP/2 connection from %s: %s",
                host,
                reason,
                extra=facts("connection_refused", client=host, reason=reason),
            )
        elif event.stream_id in self.streams:
            self.streams[event.stream_id].take(event.event)

    def _begin(self, event: Began) -> None:
        codec, head = event.stream, event.head
        if codec.gone:  # it was reset with the next frame
            return
        if isinstance(head, Refused):
            self._refuse(codec, head)
        elif len(self.streams) >= self.limits.settings.max_http2_streams or self._leaves_much:
            # Handlers of streams that were reset may still be at work; and what is left unread takes memory.
            self.codec.reset(codec, ErrorCodes.REFUSED_STREAM)
        else:
            stream = self.streams[codec.id] = Http2Stream(self, codec)
            stream.begin(head)

    @property
    def _leaves_much(self) -> bool:
        """Whether the client has asked for more than it takes."""
        return sum(stream.queued_bytes for stream in self.codec.streams.values()) > _MOST_QUEUED_BYTES

    def _refuse(self, codec: StreamCodec, refused: Refused) -> None:
        """Answer what is no request."""
        response = Response.problem(refused.status, refused.reason)
        body = response.body
        assert isinstance(body, bytes)
        self.server.note(None, refused.status, len(body), 0.0, self.connection.client.host, refused.reason)
        codec.respond(refused.status, response.headers.raw, body, self.server.stamp)
        self.codec.commit(codec)

    def _settle(self) -> None:
        """Refuse streams from here on: the client has heard that it is to open none, or does not listen."""
        self._quiet_deadline = math.inf
        self.codec.end()
        self.flush()

    def _finish(self) -> None:
        """Close, where that is all that is left to do."""
        if self._feeding or self.connection.upgraded is not self:
            return
        settled = self._ends and self._quiet_deadline == math.inf
        if self._over or (settled and not self.codec.streams and not self.streams):
            self._over = True
            self.connection.hang_up()
            for stream in list(self.streams.values()):
                stream.disconnected()

    def _check_progress(self, now: float) -> None:
        """Reset the streams whose response the client leaves where it is, or takes byte by byte."""
        timeout_s = self.limits.settings.write_timeout_s
        owed: dict[int, tuple[float, int]] = {}
        for stream in list(self.codec.streams.values()):
            if stream.queued_bytes:
                deadline, least = self._owed.get(stream.id, (math.inf, 0))
                if stream.sent_bytes >= least:
                    deadline = now + timeout_s
                    least = stream.sent_bytes + min(stream.queued_bytes, _LEAST_PROGRESS_BYTES)
                elif now >= deadline:
                    self.codec.reset(stream, ErrorCodes.CANCEL)
                    self._lose(stream.id)
                    continue
                owed[stream.id] = (deadline, least)
        self._owed = owed

    def _lose(self, stream_id: int) -> None:
        if stream_id in self.streams:
            self.streams[stream_id].disconnected()

    def _wait(self) -> None:
        """Set the deadline for what the client is to do next."""
        settings = self.limits.settings
        codec = self.codec
        if codec.inside_head:
            if self._frames != codec.frames:
                self._frames = codec.frames
                self._deadline = self.server.now + settings.head_timeout_s
            return
        self._frames = -1
        busy = bool(self.streams or codec.streams)
        self._deadline = math.inf if busy else self.limits.idle_deadline
