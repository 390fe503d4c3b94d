"""The HTTP/1 codec of one connection: bytes in, events out; responses in, bytes out.

    codec = Http1Codec(Http1Limits())
    for event in codec.feed(data): ...      # RequestHead, then Data ... End where it has a body, or Refused
    out = codec.respond(200, [(b"Content-Type", b"text/plain")], b"hello")
    for event in codec.next_request(): ...  # what a pipelining client sent ahead

Requests are answered one after the other: what follows a request is kept until `next_request`, so that
responses can only leave in order (RFC 9112, 9.3.2). Most heads are simple, and known at once (`simple`).
Other heads, and bodies of known length, that pass the gate are taken as they are; everything out of the
ordinary is read by h11 as well (see `judge`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from pierhead.protocols.http1.body import ChunkedGate
from pierhead.protocols.http1.events import (
    Data,
    End,
    Event,
    Framing,
    Http1Limits,
    Http2Preface,
    RawFields,
    Refused,
    RequestHead,
)
from pierhead.protocols.http1.gate import PartialHead, RefusedError, parse_head
from pierhead.protocols.http1.render import ResponseWriter, hints, render_ordinary
from pierhead.protocols.http1.simple import SimpleHeads

if TYPE_CHECKING:
    from pierhead.protocols.http1.judge import Judge

__all__ = ["Http1Codec"]

_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"  # as much of it as looks like a head
_MOST_EMPTY_LINES = 4  # before a request line; RFC 9112, 2.2 asks a server to overlook at least one


class _State(enum.Enum):
    HEAD = "waits for a request"
    BODY = "inside a request's body"
    COMPLETE = "has a whole request"
    BROKEN = "can't read on"
    SWITCHED = "speaks another protocol"


# As globals: looking a member of an Enum up costs more, and this is done several times for every request.
_HEAD, _BODY, _COMPLETE, _BROKEN, _SWITCHED = _State
_NO_BODY = Framing.NONE
_NO_HEAD = RequestHead("GET", "", "1.1", b"")


class Http1Codec:
    """Reads the requests and writes the responses of one server-side connection."""

    __slots__ = (
        "_again",
        "_buffer",
        "_chunks",
        "_empty_lines",
        "_eof",
        "_head",
        "_judge",
        "_keep_alive",
        "_left",
        "_limits",
        "_ordinary",
        "_partial",
        "_simple",
        "_state",
        "_writer",
    )

    def __init__(self, limits: Http1Limits, simple: SimpleHeads | None = None) -> None:
        """Hold requests to `limits`; `simple` is made of the same limits, and shared by all connections."""
        self._limits = limits
        self._simple = SimpleHeads(limits) if simple is None else simple
        self._state = _HEAD
        self._buffer = bytearray()
        self._empty_lines = 0
        self._partial: PartialHead | None = None  # what came of a head that is not complete
        self._left = 0  # of a body of known length
        self._chunks: ChunkedGate | None = None
        self._judge: Judge | None = None
        self._eof = False
        self._writer: ResponseWriter | None = None  # made for a response that is not ordinary
        self._head = _NO_HEAD  # of the request that the response will be to
        self._keep_alive = True
        self._again = False  # whether this is not the first request
        self._ordinary = True  # whether an ordinary response may be rendered the fast way

    # Reading

    @property
    def idle(self) -> bool:
        """Whether no byte of a next request has come yet."""
        return self._state is _HEAD and not self._buffer

    @property
    def request_complete(self) -> bool:
        """Whether the current request was read to its end."""
        return self._state is _COMPLETE

    @property
    def buffered_bytes(self) -> int:
        """How many bytes are kept that no event has carried yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes as they come and return what they complete."""
        if self._state is _BROKEN:
            return []
        # `len`, here and below, as Python knows a faster way for it than for the truth of a bytearray.
        if self._state is _HEAD and not len(self._buffer):
            simple = self._simple.read(data)
            if simple is not None:
                head, end = simple
                if end < len(data):
                    self._buffer += data[end:]
                self._begin(head)
                return [head] if head.framing is _NO_BODY else [head, *self._advance()]
        elif self._state is _BODY and self._chunks is None and len(data) <= self._left and not self._buffer:
            return self._take_body(data)
        self._buffer += data
        return self._advance()

    def feed_eof(self) -> list[Event]:
        """Take note that the client sends no more; an incomplete request is refused with 400."""
        self._eof = True
        return self._advance()

    def next_request(self) -> list[Event]:
        """Go on to the next request once the current one is complete and answered."""
        if self._state is not _COMPLETE:
            raise RuntimeError(f"no next request while the codec {self._state.value}")
        self._state = _HEAD
        self._again = True
        self._empty_lines = 0
        if not len(self._buffer) and not self._eof:
            return []
        return self._advance()

    def switch(self) -> bytes:
        """Hand over to another protocol after a 101 response; returns the bytes read ahead."""
        self._state = _SWITCHED
        ahead = bytes(self._buffer)
        self._buffer.clear()
        return ahead

    def _advance(self) -> list[Event]:
        """Return what the buffer completes."""
        events: list[Event] = []
        try:
            if self._state is _HEAD:
                self._read_head(events)
            if self._state is _BODY:
                self._read_body(events)
            if self._eof and self._state in {_HEAD, _BODY} and not self.idle:
                raise RefusedError(400, "the client closed the connection inside a request")
        except RefusedError as error:
            refused = Refused(error.status, error.reason)
            if self._state is _HEAD:  # the error response is to no known method
                self._head, self._writer = _NO_HEAD, None
                first = not self._again and not self._empty_lines
                if first and self._buffer.startswith(_HTTP2_PREFACE):
                    refused = Http2Preface(error.status, error.reason, bytes(self._buffer))
            self._state = _BROKEN
            self.close_after_response()
            self._buffer.clear()
            events.append(refused)
        return events

    def _read_head(self, events: list[Event]) -> None:
        buffer = self._buffer
        while buffer.startswith(b"\r\n") and self._empty_lines < _MOST_EMPTY_LINES:
            del buffer[:2]
            self._empty_lines += 1
        if not buffer or buffer == b"\r":
            return
        partial = self._partial
        if partial is not None and not self._is_whole(partial):
            return
        simple = self._simple.read(buffer)
        if simple is None and partial is None and not self._is_whole(partial := PartialHead(self._limits)):
            self._partial = partial
            return
        self._partial = None
        if simple is not None:
            head, end = simple
        else:
            assert partial is not None
            end = partial.find_end(buffer)
            raw = bytes(buffer[:end])
            head = parse_head(raw, self._limits)
            self._judge = None
            if head.framing is Framing.CHUNKED or head.expect_continue or head.upgrade:
                from pierhead.protocols.http1.judge import Judge  # it is a large library, and asked rarely

                self._judge = Judge()
                self._judge.head(raw, head)
        del buffer[:end]
        self._begin(head)
        events.append(head)

    def _is_whole(self, partial: PartialHead) -> bool:
        """Tell whether the buffer has a head to its end; what is there of another one is checked."""
        if partial.find_end(self._buffer):
            return True
        partial.check(self._buffer)
        return False

    def _begin(self, head: RequestHead) -> None:
        self._writer = None
        self._head = head
        self._keep_alive = keep_alive = head.keep_alive
        self._ordinary = keep_alive and head.version == "1.1" and head.method != "HEAD"
        framing = head.framing
        if framing is _NO_BODY:
            self._state = _COMPLETE
        else:
            self._state = _BODY
            self._left = head.length
            self._chunks = ChunkedGate(self._limits) if framing is Framing.CHUNKED else None

    def _read_body(self, events: list[Event]) -> None:
        if self._chunks is None:
            data = bytes(self._buffer[: self._left])
            del self._buffer[: self._left]
            events += self._take_body(data)
            return
        data = self._chunks.feed(self._buffer)
        if data:
            events.append(Data(data))
        if self._chunks.done:
            assert self._judge is not None
            section = self._chunks.trailers
            events.append(End(self._judge.trailers(section) if len(section) > 2 else []))
            self._state = _COMPLETE

    def _take_body(self, data: bytes) -> list[Event]:
        """Take a piece of a body of known length, no longer than what is left of it."""
        self._left -= len(data)
        events: list[Event] = [Data(data)] if data else []
        if not self._left:
            events.append(End())
            self._state = _COMPLETE
        return events

    # Writing

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can be used again after this response."""
        return self._keep_alive and (self._writer is None or self._writer.keep_alive)

    def close_after_response(self) -> None:
        """Have the response say `Connection: close`; call it before the response's head is rendered."""
        self._keep_alive = self._ordinary = False

    def go_on(self) -> bytes:
        """Render 100 (Continue)."""
        return b"HTTP/1.1 100 Continue\r\n\r\n"

    def hint(self, fields: RawFields) -> bytes:
        """Render 103 (Early Hints); see `hints` for the errors."""
        return hints(fields)

    def respond(self, status: int, fields: RawFields, body: bytes, stamp: bytes = b"") -> bytes:
        """Render a whole response; see `ResponseWriter.head` for the errors and for `stamp`."""
        if self._ordinary:
            data = render_ordinary(status, fields, body, stamp)
            if data is not None:
                return data
        self._writer = ResponseWriter(self._head.method, self._head.version)
        return self._writer.whole(status, fields, body, stamp, keep_alive=self._keep_alive)

    def start_response(self, status: int, fields: RawFields, stamp: bytes = b"") -> bytes:
        """Render the head of a response whose body comes piece by piece."""
        self._writer = ResponseWriter(self._head.method, self._head.version)
        return self._writer.head(status, fields, stamp, keep_alive=self._keep_alive)

    def data(self, data: bytes) -> bytes:
        """Render a piece of the body; raises ResponseError when it is more than was announced."""
        return self._streaming.data(data)

    def end(self, trailers: RawFields | None = None) -> bytes:
        """Render the end of the body and the trailer fields; see `ResponseWriter.end`."""
        return self._streaming.end(trailers)

    @property
    def _streaming(self) -> ResponseWriter:
        if self._writer is None:
            raise RuntimeError("a response's body comes after its head: call start_response first")
        return self._writer
