"""h11 behind the gate: it reads every message that is out of the ordinary a second time, and has a veto."""

from __future__ import annotations

import h11

from pierhead.protocols.http1.events import RawFields, RequestHead
from pierhead.protocols.http1.gate import RefusedError

__all__ = ["Judge"]

_UNBOUNDED = 1 << 62  # the gate holds the limits


class Judge:
    """One request as h11 sees it; a new one for each request."""

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_UNBOUNDED)

    def head(self, raw: bytes, request: RequestHead) -> None:
        """Compare h11's reading of a head with the gate's; raises RefusedError 400 where they differ."""
        event = self._next(raw)
        if not (
            isinstance(event, h11.Request)
            and event.method.decode("ascii") == request.method
            and event.target.decode("ascii") == request.target
            and len(event.headers) == len(request.fields)
        ):
            raise RefusedError(400, "the request head can be read in more than one way")

    def trailers(self, section: bytes) -> RawFields:
        """Read the trailer section that ends a chunked body; raises RefusedError 400 where h11 does not."""
        event = self._next(b"0\r\n" + section)
        if not isinstance(event, h11.EndOfMessage):
            raise RefusedError(400, "the trailer section can be read in more than one way")
        return list(event.headers.raw_items())

    def _next(self, raw: bytes) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        self._connection.receive_data(raw)
        try:
            return self._connection.next_event()
        except h11.RemoteProtocolError as error:
            raise RefusedError(400, f"the request is malformed: {error}") from error
