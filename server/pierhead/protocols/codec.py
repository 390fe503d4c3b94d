"""What a connection asks of its codec, whichever protocol that is for: one request and response at a time."""

from __future__ import annotations

from typing import Protocol

from pierhead.protocols.http1.events import Event, RawFields

__all__ = ["Codec", "ResponseCodec"]


class ResponseCodec(Protocol):
    """Renders one response to a request."""

    def go_on(self) -> bytes:
        """Render what asks the client for the body it waits with; b"" where there is no such thing."""
        ...

    def hint(self, fields: RawFields) -> bytes:
        """Render early hints; b"" where there is no such thing."""
        ...

    def respond(self, status: int, fields: RawFields, body: bytes, stamp: bytes = b"") -> bytes:
        """Render a whole response; raises ResponseError for one that cannot be sent."""
        ...

    def start_response(self, status: int, fields: RawFields, stamp: bytes = b"") -> bytes:
        """Render the head of a response whose body comes piece by piece; raises ResponseError."""
        ...

    def data(self, data: bytes) -> bytes:
        """Render a piece of the body; raises ResponseError when it is more than was announced."""
        ...

    def end(self, trailers: RawFields | None = None) -> bytes:
        """Render the end of the body, and trailer fields where there is a place for them.

        Raises ResponseError when the body is less than was announced.
        """
        ...


class Codec(ResponseCodec, Protocol):
    """Bytes in, events out; responses in, bytes out. See `pierhead.protocols.http1.codec.Http1Codec`."""

    @property
    def idle(self) -> bool:
        """Whether no byte of a next request has come yet."""
        ...

    @property
    def request_complete(self) -> bool:
        """Whether the current request was read to its end."""
        ...

    @property
    def buffered_bytes(self) -> int:
        """How many bytes are kept that no event has carried yet."""
        ...

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can be used again after this response."""
        ...

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes as they come and return what they complete."""
        ...

    def feed_eof(self) -> list[Event]:
        """Take note that the peer sends no more; an incomplete request is refused with 400."""
        ...

    def next_request(self) -> list[Event]:
        """Go on to the next request once the current one is complete and answered."""
        ...

    def switch(self) -> bytes:
        """Hand over to another protocol; returns the bytes read ahead."""
        ...

    def close_after_response(self) -> None:
        """Have the connection end with this response."""
        ...
