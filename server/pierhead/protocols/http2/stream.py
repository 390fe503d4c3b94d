"""The response of one HTTP/2 stream: what an application has sent and the client has no room for yet."""

from __future__ import annotations

from collections import deque

from h2.errors import ErrorCodes

from pierhead.protocols.http1.events import RawFields
from pierhead.protocols.http2.render import Section, SectionWriter, interim, trailer_section

__all__ = ["StreamCodec"]


class StreamCodec:
    """Takes one response and keeps it until `Http2Codec` has sent it.

    It is used as a codec of HTTP/1 is, but what it renders stays inside (`b""` is returned): header sections
    are compressed in the order in which they leave, and bodies leave when the client has room for them.
    """

    def __init__(self, stream_id: int, method: str) -> None:
        self.id = stream_id
        self.request_complete = False
        """Whether the request was read to its end."""
        self.gone = False
        """Whether the stream is over, so that nothing more can be sent."""
        self.queued_bytes = 0
        """How much of the body waits for room."""
        self.sent_bytes = 0
        """How much of the body was sent."""
        self.consumed_bytes = 0
        """How much of the request's body was read, and the client was not told so yet."""
        self.body_bytes = 0
        """How much of the request's body has come."""
        self.interim: list[Section] = []
        self.section: Section | None = None
        """The header section, until it is sent."""
        self.trailers: Section | None = None
        self.ended = False
        """Whether the response is complete."""
        self.reset_code: ErrorCodes | None = None
        """What the stream is reset with after the response, where the request was malformed."""
        self._method = method
        self._writer = SectionWriter(method)
        self._pieces: deque[bytes] = deque()

    def go_on(self) -> bytes:
        """Send 100 (Continue)."""
        self.interim.append(interim(100, []))
        return b""

    def hint(self, fields: RawFields) -> bytes:
        """Send 103 (Early Hints); raises ResponseError for a field that is malformed."""
        self.interim.append(interim(103, fields))
        return b""

    def respond(self, status: int, fields: RawFields, body: bytes, stamp: bytes = b"") -> bytes:
        """Send a whole response; see `ResponseWriter.whole` for the errors and for `stamp`."""
        self._restart()
        body = self._writer.whole(status, fields, body, stamp, keep_alive=True)
        self.section = self._writer.section
        self._queue(body)
        self.ended = True
        return b""

    def start_response(self, status: int, fields: RawFields, stamp: bytes = b"") -> bytes:
        """Send the head of a response whose body comes piece by piece; errors as `ResponseWriter.head`."""
        self._restart()
        self._writer.head(status, fields, stamp, keep_alive=True)
        self.section = self._writer.section
        return b""

    def data(self, data: bytes) -> bytes:
        """Send a piece of the body; raises ResponseError when it is more than was announced."""
        self._queue(self._writer.data(data))
        return b""

    def end(self, trailers: RawFields | None = None) -> bytes:
        """End the body, with trailer fields; raises ResponseError when it is less than was announced."""
        self._writer.end()
        if trailers and self._method != "HEAD":
            self.trailers = trailer_section(trailers)
        self.ended = True
        return b""

    def take(self, size: int) -> bytes:
        """Return up to `size` bytes of the body, to be sent now."""
        pieces = self._pieces
        found = []
        left = size
        while left and pieces:
            piece = pieces.popleft()
            if len(piece) > left:
                pieces.appendleft(piece[left:])
                piece = piece[:left]
            found.append(piece)
            left -= len(piece)
        data = found[0] if len(found) == 1 else b"".join(found)
        self.queued_bytes -= len(data)
        self.sent_bytes += len(data)
        return data

    def discard(self) -> None:
        """Drop what waits: the stream is over."""
        self.gone = True
        self._pieces.clear()
        self.queued_bytes = 0
        self.interim.clear()
        self.section = self.trailers = None

    def _queue(self, data: bytes) -> None:
        if data and not self.gone:
            self._pieces.append(data)
            self.queued_bytes += len(data)

    def _restart(self) -> None:
        """Drop what of another response was not sent yet: this one takes its place."""
        self._writer = SectionWriter(self._method)
        self._pieces.clear()
        self.queued_bytes = 0
