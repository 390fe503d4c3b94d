"""What the codecs of SCGI, CGI and FastCGI share: one request at a time, from variables and a counted body.

They are used as `pierhead.protocols.http1.Http1Codec` is, with the same events; beside these they know
where a request came from (`request`).
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Iterable

from pierhead.protocols.cgi.render import CgiResponseWriter
from pierhead.protocols.cgi.variables import GatewayRequest, read_variables
from pierhead.protocols.http1.events import Data, End, Event, Framing, Http1Limits, RawFields, Refused
from pierhead.protocols.http1.gate import RefusedError

__all__ = ["GatewayCodec", "State"]


class State(enum.Enum):
    """Where a codec is in its connection."""

    HEAD = "waits for a request"
    BODY = "inside a request's body"
    COMPLETE = "has a whole request"
    BROKEN = "can't read on"


class GatewayCodec(abc.ABC):
    """The base of the three; a subclass says in `_read` how its bytes are framed."""

    def __init__(self, limits: Http1Limits) -> None:
        self.trusted = False
        """Whether to believe what the web server says about its client."""
        self.request: GatewayRequest | None = None
        """The current request, once its head was returned."""
        self._limits = limits
        self._state = State.HEAD
        self._keep_alive = False
        self._left: int | None = 0  # of the body; None where only its end will show how long it is
        self._body_bytes = 0
        self._writer = CgiResponseWriter("GET")

    # Reading

    @property
    @abc.abstractmethod
    def idle(self) -> bool:
        """Whether no byte of a next request has come yet."""
        ...

    @property
    def request_complete(self) -> bool:
        """Whether the current request was read to its end."""
        return self._state is State.COMPLETE

    @property
    @abc.abstractmethod
    def buffered_bytes(self) -> int:
        """How many bytes are kept that no event has carried yet."""
        ...

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes as they come and return what they complete."""
        return self._guarded(data, eof=False)

    def feed_eof(self) -> list[Event]:
        """Take note that the web server sends no more; an incomplete request is refused with 400."""
        return self._guarded(b"", eof=True)

    def next_request(self) -> list[Event]:
        """Go on to the next request once the current one is complete and answered."""
        raise RuntimeError("there is one request a connection")

    def _guarded(self, data: bytes, *, eof: bool) -> list[Event]:
        events: list[Event] = []
        try:
            if self._state is not State.BROKEN:
                self._read(data, events)
            if eof:
                self._read_eof(events)
        except RefusedError as refused:
            self._state = State.BROKEN
            self._keep_alive = False
            events.append(Refused(refused.status, refused.reason))
        return events

    @abc.abstractmethod
    def _read(self, data: bytes, events: list[Event]) -> None:
        """Act on bytes; raises RefusedError."""
        ...

    def _read_eof(self, events: list[Event]) -> None:
        if self._state in {State.HEAD, State.BODY} and not self.idle:
            raise RefusedError(400, "the web server closed the connection inside a request")

    def _understand(
        self, variables: Iterable[tuple[bytes, bytes]], *, own_process: bool = False
    ) -> GatewayRequest:
        """Read a request's variables; raises RefusedError."""
        self._writer = CgiResponseWriter("GET")  # an error response is to no known method
        request = read_variables(variables, self._limits, trusted=self.trusted, own_process=own_process)
        self._writer = CgiResponseWriter(request.head.method)
        return request

    def _begin(self, request: GatewayRequest, events: list[Event], *, unknown_length: bool = False) -> None:
        """Return the head, and what follows of it: a body of known or unknown length, or none."""
        self.request = request
        self._body_bytes = 0
        self._left = None if unknown_length else request.head.length
        if unknown_length:
            request.head.framing = Framing.CHUNKED  # as HTTP calls a body whose end is marked
        self._state = State.COMPLETE if request.head.framing is Framing.NONE else State.BODY
        events.append(request.head)

    def _take_body(self, data: bytes, events: list[Event]) -> None:
        """Return a piece of the body; raises RefusedError 413 for one of unknown length over the limit."""
        if not data:
            return
        self._body_bytes += len(data)
        if self._left is not None:
            self._left -= len(data)
        elif self._body_bytes > self._limits.max_body_bytes:
            raise RefusedError(413, f"the body is longer than {self._limits.max_body_bytes} bytes")
        events.append(Data(data))

    def _finish(self, events: list[Event]) -> None:
        """Return the end of the body."""
        self._state = State.COMPLETE
        events.append(End())

    def switch(self) -> bytes:
        """Refuse to hand over to another protocol: a web server passes no upgrade on."""
        raise RuntimeError("a request from a web server cannot be upgraded")

    # Writing

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can be used again after this response."""
        return self._keep_alive

    def close_after_response(self) -> None:
        """Close the connection with this response."""
        self._keep_alive = False

    def go_on(self) -> bytes:
        """Render nothing: it is the web server that asks its client to go on."""
        return b""

    def hint(self, fields: RawFields) -> bytes:
        """Render nothing: there is one response to a request."""
        return b""

    def respond(self, status: int, fields: RawFields, body: bytes, stamp: bytes = b"") -> bytes:
        """Render a whole response; see `ResponseWriter.head` for the errors and for `stamp`."""
        return (
            self._wrap(self._writer.whole(status, fields, body, stamp, keep_alive=False)) + self._wrap_end()
        )

    def start_response(self, status: int, fields: RawFields, stamp: bytes = b"") -> bytes:
        """Render the head of a response whose body comes piece by piece."""
        return self._wrap(self._writer.head(status, fields, stamp, keep_alive=False))

    def data(self, data: bytes) -> bytes:
        """Render a piece of the body; raises ResponseError when it is more than was announced."""
        return self._wrap(self._writer.data(data))

    def end(self, trailers: RawFields | None = None) -> bytes:
        """Render the end of the body; raises ResponseError when it is less than was announced.

        Trailer fields have no place after it.
        """
        self._writer.end()
        return self._wrap_end()

    def _wrap(self, data: bytes) -> bytes:
        """Frame a part of the response."""
        return data

    def _wrap_end(self) -> bytes:
        """Frame the end of the response."""
        return b""
