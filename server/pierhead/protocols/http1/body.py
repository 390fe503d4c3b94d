"""The framing of chunked request bodies: finds where each ends and lets only well-formed framing through.

It is checked strictly and decoded here; chunk extensions are checked and ignored (RFC 9112, 7.1.1). Trailer
sections are read by h11 as well (see `judge`).
"""

from __future__ import annotations

import enum

from pierhead.protocols.http1 import grammar
from pierhead.protocols.http1.events import Http1Limits
from pierhead.protocols.http1.gate import PartialHead, RefusedError

__all__ = ["ChunkedGate"]


_BAD_SIZE_LINE = "the size line of a chunk is malformed or too long"


class _Expects(enum.Enum):
    SIZE = "a chunk's size line"
    DATA = "a chunk's data"
    DATA_END = "the CRLF after a chunk's data"
    TRAILERS = "the trailer section"
    NOTHING = "nothing more"


# As globals: looking a member of an Enum up costs more, and this is done several times for every chunk.
_SIZE, _DATA, _DATA_END, _TRAILERS, _NOTHING = _Expects


class ChunkedGate:
    """Checks and decodes one chunked body, however it is split.

    `feed` raises RefusedError: 400 for malformed framing or a trailer field that may be none, 413 for a
    body and 431 for a trailer section over its limit.
    """

    def __init__(self, limits: Http1Limits) -> None:
        self._limits = limits
        self._expects = _SIZE
        self._left = 0  # bytes of the current chunk's data that are still to come
        self._body_bytes = 0
        self._extension_bytes = 0
        self._partial = PartialHead(limits, request_line=False)
        self.trailers = b""
        """The trailer section with its empty line, once `done`."""

    @property
    def done(self) -> bool:
        """Whether the body and its trailer section are complete."""
        return self._expects is _NOTHING

    def feed(self, buffer: bytearray) -> bytes:
        """Take what is complete off the front of `buffer`; returns the data in it."""
        pieces: list[bytes] = []
        at = 0
        have = len(buffer)
        while at < have and self._expects is not _NOTHING:
            if self._expects is _DATA:
                end = min(at + self._left, have)
                with memoryview(buffer) as view:
                    pieces.append(bytes(view[at:end]))
                self._left -= end - at
                at = end
                if not self._left:
                    self._expects = _DATA_END
            elif self._expects is _DATA_END:
                if not b"\r\n".startswith(buffer[at : at + 2]):
                    raise RefusedError(400, "a chunk is longer than its size says")
                if have - at < 2:
                    break
                at += 2
                self._expects = _SIZE
            else:
                end = self._size_line(buffer, at) if self._expects is _SIZE else self._trailers(buffer, at)
                if not end:
                    break
                at = end
        del buffer[:at]
        return b"".join(pieces)

    def _size_line(self, buffer: bytearray, at: int) -> int:
        """Take the size line at `at`; returns where it ends, 0 where it is not complete."""
        match = grammar.CHUNK_SIZE.match(buffer, at)
        if match is None:
            end = buffer.find(b"\n", at) + 1
            length = (end or len(buffer)) - at
            if length > self._limits.max_line_bytes:
                raise RefusedError(400, _BAD_SIZE_LINE)
            if not end:
                return 0
            match = grammar.CHUNK_LINE.fullmatch(buffer, at, end)
            if match is None:
                raise RefusedError(400, _BAD_SIZE_LINE)
            # Extensions do nothing here, so a body that is mostly extensions is an attack.
            self._extension_bytes += length - len(match[1]) - 2
            if self._extension_bytes > self._limits.max_head_bytes:
                raise RefusedError(400, "the chunk extensions are longer than a head may be")
        self._left = int(match[1], 16)
        self._body_bytes += self._left
        if self._body_bytes > self._limits.max_body_bytes:
            raise RefusedError(413, f"the body is longer than {self._limits.max_body_bytes} bytes")
        self._expects = _DATA if self._left else _TRAILERS
        return match.end()

    def _trailers(self, buffer: bytearray, at: int) -> int:
        """Take the trailer section at `at`; returns where it ends, 0 where it is not complete."""
        section = buffer[at:]
        if section.startswith(b"\r\n"):
            end = 2
        else:
            end = self._partial.find_end(section)
            self._partial.check(section[:end] if end else section)
            if not end:
                return 0
        self.trailers = bytes(section[:end])
        lines = self.trailers[:-2].split(b"\r\n")[:-1]
        if len(lines) > self._limits.max_headers:
            raise RefusedError(431, f"the trailer section has more than {self._limits.max_headers} fields")
        for line in lines:
            if not grammar.FIELD_LINE.fullmatch(line + b"\r\n"):
                raise RefusedError(400, "a trailer line is not 'name: value'")
            name = line.partition(b":")[0].lower()
            if name in grammar.FORBIDDEN_TRAILERS:
                raise RefusedError(400, f"{name.decode()} may not be a trailer field (RFC 9110, 6.5.1)")
        self._expects = _NOTHING
        return at + end
