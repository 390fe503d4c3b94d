"""The CGI codec (RFC 3875): one request from the environment, its body from standard input.

codec = CgiCodec(limits, os.environb)
for event in codec.feed(b""): ...           # the head, or what is wrong with it
for event in codec.feed(standard_input): ...
"""

from __future__ import annotations

from collections.abc import Mapping

from pierhead.protocols.cgi.gateway import GatewayCodec, State
from pierhead.protocols.http1.events import Event, Http1Limits

__all__ = ["CgiCodec"]


class CgiCodec(GatewayCodec):
    """Reads the one request and writes the one response of a process."""

    def __init__(self, limits: Http1Limits, environment: Mapping[bytes, bytes]) -> None:
        super().__init__(limits)
        self._environment = environment

    @property
    def idle(self) -> bool:
        """Whether no byte of a next request has come yet: never, the environment was there before."""
        return False

    @property
    def buffered_bytes(self) -> int:
        """How many bytes are kept that no event has carried yet."""
        return 0

    def _read(self, data: bytes, events: list[Event]) -> None:
        if self._state is State.HEAD:
            request = self._understand(self._environment.items(), own_process=True)
            # A body without a length ends where standard input does, which is this request's alone.
            chunked = self._environment.get(b"HTTP_TRANSFER_ENCODING", b"").lower().endswith(b"chunked")
            self._begin(request, events, unknown_length=chunked and not request.length_known)
        if self._state is State.BODY:
            # Standard input may go on after the body (4.2): only what was announced is the body.
            self._take_body(data[: self._left], events)
            if self._left == 0:
                self._finish(events)

    def _read_eof(self, events: list[Event]) -> None:
        if self._state is State.BODY and self._left is None:
            self._finish(events)
        super()._read_eof(events)
