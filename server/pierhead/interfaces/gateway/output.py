"""What a CGI program writes: the head of its response (RFC 3875, 6)."""

from __future__ import annotations

import re
from typing import NamedTuple

from pierhead.interfaces.fields import checked_fields
from pierhead.interfaces.gateway.errors import GatewayError
from pierhead.messages.headers import RawHeaders, field_name, field_value

__all__ = ["HeadReader", "OutputHead"]

_MOST_BYTES = 64 << 10
_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"([2-5][0-9]{2})(?:[ \t].*)?")
_STATUS_LINE = re.compile(rb"HTTP/[0-9.]+ ([2-5][0-9]{2})(?: .*)?")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*:")


class OutputHead(NamedTuple):
    """The head of a response."""

    status: int
    fields: RawHeaders
    local_location: str | None
    """The path that is to be answered instead (6.2.2)."""


class HeadReader:
    """Collects output until the head is complete.

    `feed` returns it, and what came after it; None before. With `parsed` false (a program whose name begins
    with nph-) the output is a whole HTTP response: a status line begins it. Raises GatewayError 502 for what
    is no head.
    """

    def __init__(self, *, parsed: bool = True) -> None:
        self._parsed = parsed
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[OutputHead, bytes] | None:
        """Take the next piece of the output, b"" at its end."""
        self._buffer += data
        if self._buffer.startswith((b"\n", b"\r\n")):
            raise GatewayError(502, "it wrote no header fields, but an empty line")
        end = _END.search(self._buffer)
        if end is None:
            if not data:
                what = f"{bytes(self._buffer[:60])!r}" if self._buffer else "nothing"
                raise GatewayError(502, f"it ended before its header fields were complete; it wrote {what}")
            if len(self._buffer) > _MOST_BYTES:
                raise GatewayError(502, f"its header fields are longer than {_MOST_BYTES} bytes")
            return None
        lines = [line.rstrip(b"\r") for line in bytes(self._buffer[: end.start()]).split(b"\n")]
        return self._head(lines), bytes(self._buffer[end.end() :])

    def _head(self, lines: list[bytes]) -> OutputHead:
        status: int | None = None
        if not self._parsed:
            match = _STATUS_LINE.fullmatch(lines[0])
            if match is None:
                raise GatewayError(502, f"it began with {lines[0][:60]!r} instead of a status line")
            status = int(match[1])
            lines = lines[1:]
        fields: RawHeaders = []
        location: bytes | None = None
        described = status is not None
        for line in lines:
            name, value = _field(line)
            lower = name.lower()
            if lower == b"status":
                match = _STATUS.fullmatch(value)
                if match is None:
                    raise GatewayError(502, f"its Status is {value[:60]!r}, not like '200 OK'")
                status = int(match[1])
                described = True
                continue
            if lower == b"location":
                location = value
            described = described or lower in {b"content-type", b"location"}
            fields.append((name, value))
        if not described:
            raise GatewayError(502, "it wrote none of Content-Type, Location and Status (RFC 3875, 6.3)")
        if location is not None and status is None:
            if location.startswith(b"/") and not location.startswith(b"//"):
                return OutputHead(200, [], location.decode("latin-1"))
            if not _SCHEME.match(location):
                raise GatewayError(502, f"its Location is neither a path nor a URL: {location[:60]!r}")
            status = 302
        return OutputHead(status or 200, checked_fields(fields), None)


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    try:
        if not colon:
            raise ValueError
        return field_name(name), field_value(name, value)
    except ValueError:
        raise GatewayError(502, f"it wrote {line[:60]!r} instead of a header field") from None
