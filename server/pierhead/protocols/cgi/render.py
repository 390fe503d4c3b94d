"""Rendering of responses for a web server to frame (RFC 3875, 6): a Status field instead of a status line.

The body's length is announced where it is known, and held to, as in HTTP: a web server can then see that a
response broke off. Fields about the client's connection are the web server's own (6.3.4).
"""

from __future__ import annotations

from pierhead.errors import reason_phrase
from pierhead.protocols.http1.events import RawFields
from pierhead.protocols.http1.grammar import DIGITS
from pierhead.protocols.http1.render import ResponseError

__all__ = ["CgiResponseWriter"]

_CONNECTION_FIELDS = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"status"})


class CgiResponseWriter:
    """Renders one response to a request of `method`."""

    __slots__ = ("_head_only", "_left")

    def __init__(self, method: str) -> None:
        self._head_only = method == "HEAD"
        self._left: int | None = None  # of an announced Content-Length

    def whole(self, status: int, fields: RawFields, body: bytes, stamp: bytes) -> bytes:
        """Render head and body of a response whose body is complete; errors as for `head`."""
        parts, announced = self._lines(status, fields)
        if status in {204, 304}:
            if body:
                raise ResponseError(f"a {status} response has no body, this one has {len(body)} bytes")
        elif announced is None:
            parts.append(b"Content-Length: %d\r\n" % len(body))
        if announced not in {None, len(body)} and (body or not (self._head_only or status == 304)):
            raise ResponseError(f"the Content-Length is {announced}, the body has {len(body)} bytes")
        self._left = 0
        head = _seal(parts, stamp)
        return head if self._head_only else head + body

    def head(self, status: int, fields: RawFields, stamp: bytes) -> bytes:
        """Render the head of a response whose body follows in pieces; `stamp` is put in as it is.

        Raises ResponseError for what `pierhead.protocols.http1.render.ResponseWriter.head` does.
        """
        if status in {204, 304}:
            raise ResponseError(f"a {status} response has no body")
        parts, self._left = self._lines(status, fields)
        return _seal(parts, stamp)

    def data(self, data: bytes) -> bytes:
        """Render a piece of the body; raises ResponseError when it is more than was announced."""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise ResponseError(
                    f"the body is at least {-self._left} bytes longer than its Content-Length"
                )
        return b"" if self._head_only else data

    def end(self) -> None:
        """Take note of the end of the body; raises ResponseError when it is less than was announced."""
        if self._left and not self._head_only:
            raise ResponseError(f"the body is {self._left} bytes shorter than its Content-Length")

    def _lines(self, status: int, fields: RawFields) -> tuple[list[bytes], int | None]:
        """Return the lines but those about the connection, and the announced length."""
        announced: int | None = None
        parts = [f"Status: {status} {reason_phrase(status)}\r\n".encode()]
        for name, value in fields:
            lower = name.lower()
            if lower == b"content-length":
                if announced is not None or not DIGITS.fullmatch(value):
                    raise ResponseError(f"the Content-Length is not one number: {value!r}")
                announced = int(value)
                if status == 204:  # RFC 9110, 8.6
                    continue
            elif lower == b"transfer-encoding":
                raise ResponseError(
                    "an application does not set Transfer-Encoding: the server frames the body"
                )
            elif lower in _CONNECTION_FIELDS:
                continue
            parts.append(b"%b: %b\r\n" % (name, value))
        return parts, announced


def _seal(parts: list[bytes], stamp: bytes) -> bytes:
    """Join the lines, once sure that none of them is two."""
    head = b"".join(parts)
    lines = len(parts)
    if head.count(b"\r") != lines or head.count(b"\n") != lines or b"\0" in head:
        raise ResponseError("a header field of the response contains CR, LF or NUL")
    return head + stamp + b"\r\n"
