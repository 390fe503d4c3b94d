r"""The SCGI codec of one connection: bytes in, events out; a response in, bytes out.

70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00 ... ,the body's 27 bytes
"""

from __future__ import annotations

import re

from pierhead.protocols.cgi.gateway import GatewayCodec, State
from pierhead.protocols.cgi.variables import max_variables_bytes
from pierhead.protocols.http1.events import Event, Http1Limits
from pierhead.protocols.http1.gate import RefusedError

__all__ = ["ScgiCodec"]

_LENGTH = re.compile(rb"([1-9][0-9]{0,8}|0):")
_LENGTH_BEGUN = re.compile(rb"[1-9][0-9]{0,8}|0|")


class ScgiCodec(GatewayCodec):
    """Reads the request and writes the response of one server-side connection.

    What follows the body is not looked at: a connection is for one request.
    """

    def __init__(self, limits: Http1Limits) -> None:
        super().__init__(limits)
        self._buffer = bytearray()

    @property
    def idle(self) -> bool:
        """Whether no byte of a request has come yet."""
        return self._state is State.HEAD and not self._buffer

    @property
    def buffered_bytes(self) -> int:
        """How many bytes are kept that no event has carried yet."""
        return len(self._buffer)

    def _read(self, data: bytes, events: list[Event]) -> None:
        if self._state is State.HEAD:
            data = self._read_head(data, events)
        if self._state is State.BODY:
            self._take_body(data[: self._left], events)
            if self._left == 0:
                self._finish(events)

    def _read_head(self, data: bytes, events: list[Event]) -> bytes:
        """Return what follows the head, once that is complete."""
        self._buffer += data
        match = _LENGTH.match(self._buffer)
        if match is None:
            if not _LENGTH_BEGUN.fullmatch(self._buffer):
                raise RefusedError(400, "an SCGI request begins with the length of its variables")
            return b""
        start = match.end()
        end = start + int(match[1])
        if end - start > max_variables_bytes(self._limits):
            raise RefusedError(431, "the variables are longer than a request head may be")
        if len(self._buffer) <= end:
            return b""
        if self._buffer[end] != ord(","):
            raise RefusedError(400, "the variables are not followed by a comma")
        request = self._understand(_pairs(bytes(self._buffer[start:end])))
        rest = bytes(self._buffer[end + 1 :])
        self._buffer.clear()
        self._begin(request, events)
        return rest


def _pairs(section: bytes) -> list[tuple[bytes, bytes]]:
    """Take the variables apart; raises RefusedError for what the specification forbids."""
    texts = section.split(b"\0")
    if len(texts) % 2 == 0 or texts.pop():
        raise RefusedError(400, "the variables are not names and values, each ended by a NUL")
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    names = {name for name, _ in pairs}
    if len(names) < len(pairs):
        raise RefusedError(400, "a variable came twice")
    if b"" in names:
        raise RefusedError(400, "a variable has no name")
    if not pairs or pairs[0][0] != b"CONTENT_LENGTH" or not pairs[0][1]:
        raise RefusedError(400, "the first variable is not CONTENT_LENGTH with a number")
    if (b"SCGI", b"1") not in pairs:
        raise RefusedError(400, "the variable SCGI is not 1")
    return pairs
