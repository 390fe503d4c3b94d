"""The framing of request bodies: finds where a body ends and lets only well-formed framing through.

A body of known length is cut off by counting. A chunked body is checked strictly and rewritten without its
chunk extensions, which a recipient ignores (RFC 9112, 7.1.1), before h11 decodes it.
"""

from __future__ import annotations

import enum

from pierhead.protocols.http1 import grammar
from pierhead.protocols.http1.events import Http1Limits
from pierhead.protocols.http1.gate import RefusedError, check_partial

__all__ = ["ChunkedGate"]


_BAD_SIZE_LINE = "the size line of a chunk is malformed or too long"


class _Expects(enum.Enum):
    SIZE = "a chunk's size line"
    DATA = "a chunk's data"
    DATA_END = "the CRLF after a chunk's data"
    TRAILERS = "the trailer section"
    NOTHING = "nothing more"


class ChunkedGate:
    """Checks one chunked body, however it is split.

    `feed` raises RefusedError: 400 for malformed framing or a trailer field that may be none, 413 for a
    body and 431 for a trailer section over its limit.
    """

    def __init__(self, limits: Http1Limits) -> None:
        self._limits = limits
        self._expects = _Expects.SIZE
        self._left = 0  # bytes of the current chunk's data that are still to come
        self._body_bytes = 0
        self._extension_bytes = 0

    @property
    def done(self) -> bool:
        """Whether the body and its trailer section are complete."""
        return self._expects is _Expects.NOTHING

    def feed(self, buffer: bytearray) -> bytes:
        """Take what is complete off the front of `buffer` and return it for h11."""
        passed = bytearray()
        while buffer and not self.done:
            taken = self._step(buffer)
            if taken is None:
                break
            passed += taken
        return bytes(passed)

    def _step(self, buffer: bytearray) -> bytes | bytearray | None:
        """Take one element off `buffer`; None where it is not complete yet."""
        if self._expects is _Expects.SIZE:
            return self._size_line(buffer)
        if self._expects is _Expects.DATA:
            data = buffer[: self._left]
            del buffer[: self._left]
            self._left -= len(data)
            if not self._left:
                self._expects = _Expects.DATA_END
            return data
        if self._expects is _Expects.DATA_END:
            if not b"\r\n".startswith(buffer[:2]):
                raise RefusedError(400, "a chunk is longer than its size says")
            if len(buffer) < 2:
                return None
            del buffer[:2]
            self._expects = _Expects.SIZE
            return b"\r\n"
        return self._trailers(buffer)

    def _size_line(self, buffer: bytearray) -> bytes | None:
        end = buffer.find(b"\n") + 1
        if not end:
            if len(buffer) > self._limits.max_line_bytes:
                raise RefusedError(400, _BAD_SIZE_LINE)
            return None
        line = bytes(buffer[:end])
        match = grammar.CHUNK_LINE.fullmatch(line)
        if match is None or end > self._limits.max_line_bytes:
            raise RefusedError(400, _BAD_SIZE_LINE)
        # Extensions do nothing here, so a body that is mostly extensions is an attack.
        self._extension_bytes += len(line) - match.end(1) - 2
        if self._extension_bytes > self._limits.max_head_bytes:
            raise RefusedError(400, "the chunk extensions are longer than a head may be")
        size = int(match[1], 16)
        self._body_bytes += size
        if self._body_bytes > self._limits.max_body_bytes:
            raise RefusedError(413, f"the body is longer than {self._limits.max_body_bytes} bytes")
        del buffer[:end]
        self._left = size
        self._expects = _Expects.DATA if size else _Expects.TRAILERS
        return b"%x\r\n" % size

    def _trailers(self, buffer: bytearray) -> bytes | None:
        if buffer.startswith(b"\r\n"):
            end = 2
        else:
            end = buffer.find(b"\r\n\r\n") + 4
            check_partial(buffer if end < 4 else buffer[:end], self._limits, request_line=False)
            if end < 4:
                return None
        section = bytes(buffer[:end])
        names = section[:-2].split(b"\r\n")[:-1]
        if len(names) > self._limits.max_headers:
            raise RefusedError(431, f"the trailer section has more than {self._limits.max_headers} fields")
        for line in names:
            if not grammar.FIELD_LINE.fullmatch(line + b"\r\n"):
                raise RefusedError(400, "a trailer line is not 'name: value'")
            name = line.partition(b":")[0].lower()
            if name in grammar.FORBIDDEN_TRAILERS:
                raise RefusedError(400, f"{name.decode()} may not be a trailer field (RFC 9110, 6.5.1)")
        del buffer[:end]
        self._expects = _Expects.NOTHING
        return section
