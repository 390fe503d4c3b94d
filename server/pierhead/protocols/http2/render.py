"""Responses of HTTP/2 as lists of fields, by the rules of HTTP/1.

What an application may not say there it may not say here, and what is said for it is the same.
"""

from __future__ import annotations

from hpack import HeaderTuple, NeverIndexedHeaderTuple

from pierhead.protocols.http1.events import RawFields
from pierhead.protocols.http1.grammar import FIELD_LINE, FORBIDDEN_TRAILERS
from pierhead.protocols.http1.render import ResponseError, ResponseWriter

__all__ = ["Section", "SectionWriter", "interim", "trailer_section"]

Section = list[HeaderTuple]

_OF_THE_CONNECTION = frozenset({b"connection", b"upgrade"})
_SECRET = frozenset({b"set-cookie", b"authorization", b"www-authenticate", b"authentication-info"})


class SectionWriter(ResponseWriter):
    """Renders one response to a request of `method`: bodies are returned, the head is in `section`."""

    __slots__ = ("section",)

    def __init__(self, method: str) -> None:
        super().__init__(method, "2")
        self.section: Section = []
        """The header section of the response, with `:status`, once it was rendered."""

    def _seal(self, parts: list[bytes], stamp: bytes, *, keep_alive: bool) -> bytes:
        """Take the lines apart again, once sure that each is one field."""
        status = parts[0].split(b" ", 2)[1]
        section: Section = [HeaderTuple(b":status", status)]
        for line in [*parts[1:], *stamp.splitlines(keepends=True)]:
            if not FIELD_LINE.fullmatch(line):
                raise ResponseError(f"a header field of the response is not 'name: value': {line!r}")
            name, _, value = line.partition(b":")
            section.append(_field(name, value))
        self.section = [field for field in section if field[0] not in _OF_THE_CONNECTION]
        return b""


def interim(status: int, fields: RawFields) -> Section:
    """Return the section of an interim response; raises ResponseError for a field that is malformed."""
    return [HeaderTuple(b":status", b"%d" % status), *_section(fields)]


def trailer_section(fields: RawFields) -> Section:
    """Return a trailer section; raises ResponseError for what may be none (RFC 9110, 6.5.1)."""
    for name, _ in fields:
        if name.lower() in FORBIDDEN_TRAILERS:
            raise ResponseError(f"{name.decode('latin-1')} may not be a trailer field (RFC 9110, 6.5.1)")
    return _section(fields)


def _section(fields: RawFields) -> Section:
    for field in fields:
        if not FIELD_LINE.fullmatch(b"%b: %b\r\n" % field):
            raise ResponseError(f"a field is not 'name: value': {field!r}")
    return [_field(*field) for field in fields]


def _field(name: bytes, value: bytes) -> HeaderTuple:
    """Return a field as HPACK wants it: in lower case, and never indexed where it is secret."""
    lower = name.lower()
    kind = NeverIndexedHeaderTuple if lower in _SECRET else HeaderTuple
    return kind(lower, value.strip(b"\t\r\n "))
