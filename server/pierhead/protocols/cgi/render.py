"""Rendering of responses for a web server to frame (RFC 3875, 6): a Status field instead of a status line.

The body's length is announced where it is known, and held to, as in HTTP: a web server can then see that a
response broke off. Fields about the client's connection are the web server's own (6.3.4).
"""

from __future__ import annotations

from pierhead.protocols.http1.events import RawFields
from pierhead.protocols.http1.render import ResponseWriter, join_head

__all__ = ["CgiResponseWriter"]

_WEB_SERVERS = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"status"})


class CgiResponseWriter(ResponseWriter):
    """Renders one response to a request of `method`; what is refused is the same as in HTTP."""

    __slots__ = ()

    def __init__(self, method: str) -> None:
        super().__init__(method, "1.0")  # in which a body of unknown length is not framed

    def _lines(self, status: int, fields: RawFields) -> tuple[list[bytes], int | None]:
        """Return Status and field lines but those about the connection, and the announced length."""
        fields = [field for field in fields if field[0].lower() not in _WEB_SERVERS]
        parts, announced = super()._lines(status, fields)
        parts[0] = b"Status: " + parts[0].partition(b" ")[2]
        return parts, announced

    def _seal(self, parts: list[bytes], stamp: bytes, *, keep_alive: bool) -> bytes:
        """Join the lines: there is none about the connection to be added."""
        del keep_alive
        return join_head(parts, stamp)
