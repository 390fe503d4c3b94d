"""Rendering of HTTP/1 responses: exactly one well-formed response a request, whatever the application does.

The writer decides about framing (RFC 9112, 6): it adds Content-Length or Transfer-Encoding and Connection,
and takes none of them from an application without checking it.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from pierhead.errors import PierheadError, reason_phrase
from pierhead.protocols.http1.events import RawFields
from pierhead.protocols.http1.grammar import DIGITS, FIELD_LINE, FORBIDDEN_TRAILERS

__all__ = ["ResponseError", "ResponseWriter", "hints", "join_head", "render_ordinary"]

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {reason_phrase(status.value)}\r\n".encode()
    for status in HTTPStatus
    if status >= 200  # an interim response is no response
}
_CONNECTION_FIELDS = frozenset({b"keep-alive", b"proxy-connection", b"upgrade"})

_STAMPED = frozenset({b"date", b"server"})  # an application's own stand instead of the server's
_SPECIAL_FIELDS = _CONNECTION_FIELDS | _STAMPED | {b"content-length", b"connection", b"transfer-encoding"}
_BREAKS = re.compile(rb"[\r\n\0]")
_KNOWN_LINES = 1024
_LONGEST_KNOWN = 256


class ResponseError(PierheadError):
    """The application's response cannot be sent as it is; before the head it becomes a 500."""


class _Lines(dict[tuple[bytes, bytes], bytes]):
    """Field lines that were sent before, rendered; raises KeyError for those that need more thought."""

    def __missing__(self, field: tuple[bytes, bytes]) -> bytes:
        name, value = field
        line = b"%b: %b\r\n" % field
        if name.lower() in _SPECIAL_FIELDS or _BREAKS.search(name) or _BREAKS.search(value):
            raise KeyError(name)
        if len(line) <= _LONGEST_KNOWN:
            if len(self) >= _KNOWN_LINES:
                self.clear()
            self[field] = line
        return line


_lines = _Lines()
# Where a body may not follow, or its length may not be said, the writer thinks about it.
_ORDINARY_STATUS_LINES = {status: line for status, line in _STATUS_LINES.items() if status not in {204, 304}}


def render_ordinary(status: int, fields: RawFields, body: bytes, stamp: bytes) -> bytes | None:
    """Render a whole response to an HTTP/1.1 request that keeps the connection and is not HEAD.

    None where there is anything out of the ordinary about it: then `ResponseWriter` renders it, or refuses.
    """
    try:
        return b"%b%bContent-Length: %d\r\n%b\r\n%b" % (
            _ORDINARY_STATUS_LINES[status],
            # One line, a Content-Type, is what most have.
            _lines[fields[0]] if len(fields) == 1 else b"".join([_lines[field] for field in fields]),
            len(body),
            stamp,
            body,
        )
    except KeyError:
        return None


class ResponseWriter:
    """Renders one response to a request of `method` and HTTP `version`."""

    __slots__ = ("_chunked", "_head_only", "_left", "_version", "keep_alive")

    def __init__(self, method: str, version: str) -> None:
        self._version = version
        self._head_only = method == "HEAD"
        self._chunked = False
        self._left: int | None = None  # of an announced Content-Length
        self.keep_alive = True
        """False once this response made it impossible to use the connection again."""

    def whole(self, status: int, fields: RawFields, body: bytes, stamp: bytes, *, keep_alive: bool) -> bytes:
        """Render head and body of a response whose body is complete; errors as for `head`.

        A Content-Length among the fields must be the body's; only in answer to HEAD, and in 304, may it
        stand beside an empty body.
        """
        parts, announced = self._lines(status, fields)
        bodiless = status in {204, 304}
        if bodiless and body:
            raise ResponseError(f"a {status} response has no body, this one has {len(body)} bytes")
        if announced is None:
            if not bodiless:
                parts.append(b"Content-Length: %d\r\n" % len(body))
        elif announced != len(body) and not (not body and (self._head_only or status == 304)):
            raise ResponseError(f"the Content-Length is {announced}, the body has {len(body)} bytes")
        self._left = 0
        head = self._seal(parts, _without(stamp, fields), keep_alive=keep_alive)
        return head if self._head_only else head + body

    def head(self, status: int, fields: RawFields, stamp: bytes, *, keep_alive: bool) -> bytes:
        r"""Render the head of a response whose body follows in pieces.

        `stamp` is put in as it is: rendered field lines, each with its CRLF, such as Date and Server.
        Raises ResponseError for a status outside 200 to 599, for a field with CR, LF or NUL, for a
        Transfer-Encoding (framing is not the application's), for a Content-Length that is no number, and for
        a body where the status has none.
        """
        parts, announced = self._lines(status, fields)
        if status in {204, 304}:
            raise ResponseError(f"a {status} response has no body")
        if announced is not None:
            self._left = announced
        elif self._version == "1.1":
            self._chunked = True
            parts.append(b"Transfer-Encoding: chunked\r\n")
        else:
            self.keep_alive = False  # the end of the connection is the end of the body (RFC 9112, 6.3)
        return self._seal(parts, _without(stamp, fields), keep_alive=keep_alive)

    def data(self, data: bytes) -> bytes:
        """Render a piece of the body; raises ResponseError when it is more than was announced."""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self.keep_alive = False
                raise ResponseError(
                    f"the body is at least {-self._left} bytes longer than its Content-Length"
                )
        if self._head_only or not data:
            return b""
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    def end(self, trailers: RawFields | None = None) -> bytes:
        """Render the end of the body; raises ResponseError when it is less than was announced.

        Trailer fields follow a chunked body only (RFC 9112, 7.1.2). Raises ResponseError for those that may
        be none (RFC 9110, 6.5.1).
        """
        if self._left and not self._head_only:
            self.keep_alive = False
            raise ResponseError(f"the body is {self._left} bytes shorter than its Content-Length")
        if not self._chunked or self._head_only:
            return b""
        if not trailers:
            return b"0\r\n\r\n"
        return b"0\r\n%b\r\n" % _trailer_section(trailers)

    def _lines(self, status: int, fields: RawFields) -> tuple[list[bytes], int | None]:
        """Return status line and field lines without framing and connection, and the announced length."""
        announced: int | None = None
        line = _STATUS_LINES.get(status)
        if line is None:
            if not 200 <= status <= 599:
                raise ResponseError(f"a response's status is 200 to 599, not {status}")
            line = b"HTTP/1.1 %d \r\n" % status
        parts = [line]
        for name, value in fields:
            lower = name.lower()
            if lower == b"content-length":
                if announced is not None or not DIGITS.fullmatch(value):
                    raise ResponseError(f"the Content-Length is not one number: {value!r}")
                announced = int(value)
                if status == 204:  # RFC 9110, 8.6
                    continue
            elif lower == b"connection":
                if b"close" in value.lower():
                    self.keep_alive = False
                continue
            elif lower == b"transfer-encoding":
                raise ResponseError(
                    "an application does not set Transfer-Encoding: the server frames the body"
                )
            elif (
                lower == b"upgrade" and status == 426
            ):  # here the field is for the client (RFC 9110, 15.5.22)
                parts.append(b"Connection: Upgrade\r\n")
            elif lower in _CONNECTION_FIELDS:
                continue  # they describe a connection that is not the application's (RFC 9110, 7.6.1)
            parts.append(b"%b: %b\r\n" % (name, value))
        return parts, announced

    def _seal(self, parts: list[bytes], stamp: bytes, *, keep_alive: bool) -> bytes:
        """Add the Connection field and join the lines, once sure that none of them is two."""
        if not (keep_alive and self.keep_alive):
            parts.append(b"Connection: close\r\n")
        elif self._version == "1.0":
            parts.append(b"Connection: keep-alive\r\n")
        return join_head(parts, stamp)


def join_head(parts: list[bytes], stamp: bytes) -> bytes:
    """Join the lines of a head, once sure that none of them is two; raises ResponseError."""
    head = b"".join(parts)
    lines = len(parts)
    if head.count(b"\r") != lines or head.count(b"\n") != lines or b"\0" in head:
        raise ResponseError("a header field of the response contains CR, LF or NUL")
    return head + stamp + b"\r\n"


def _without(stamp: bytes, fields: RawFields) -> bytes:
    """Leave out what the application says itself: a response has one Date and one Server (RFC 9110, 5.3)."""
    own = {name.lower() for name, _ in fields} & _STAMPED
    lines = stamp.splitlines(keepends=True) if own else [stamp]
    return b"".join(line for line in lines if line.partition(b":")[0].lower() not in own)


def hints(fields: RawFields) -> bytes:
    """Render 103 (Early Hints) with its fields (RFC 8297); raises ResponseError for one that is malformed."""
    return b"HTTP/1.1 103 Early Hints\r\n%b\r\n" % _section(fields)


def _trailer_section(fields: RawFields) -> bytes:
    for name, _ in fields:
        if name.lower() in FORBIDDEN_TRAILERS:
            raise ResponseError(f"{name.decode('latin-1')} may not be a trailer field (RFC 9110, 6.5.1)")
    return _section(fields)


def _section(fields: RawFields) -> bytes:
    lines = [b"%b: %b\r\n" % field for field in fields]
    for line in lines:
        if not FIELD_LINE.fullmatch(line):
            raise ResponseError(f"a field is not 'name: value': {line!r}")
    return b"".join(lines)
