"""Header fields as applications of other interfaces hand them over: checked once for each name."""

from __future__ import annotations

from collections.abc import Iterable

from pierhead.messages.headers import RawHeaders, field_name, field_value

__all__ = ["checked_fields", "response_fields"]

_MOST_NAMES = 1024
# Framing is the server's: what an application says about it is left out.
_FRAMING = frozenset({b"transfer-encoding", b"connection", b"keep-alive"})
_SENT, _LEFT_OUT, _LENGTH = b"", b"left out", b"content-length"
_known: dict[bytes, bytes] = {}  # field name -> which of the three it is


def checked_fields(fields: Iterable[Iterable[bytes]]) -> RawHeaders:
    """Return field lines without those about framing, which is the server's.

    Raises TypeError for what is no pair of bytes, ValueError for a name that is no token. Line breaks in
    values are found by the protocol.
    """
    checked, length = response_fields(fields)
    return checked if length is None else [*checked, (_LENGTH, length)]


def response_fields(fields: Iterable[Iterable[bytes]]) -> tuple[RawHeaders, bytes | None]:
    """Return what `checked_fields` does, and by itself the Content-Length, which the server knows for most.

    A second one stays among the fields, for the protocol to refuse.
    """
    checked = []
    length = None
    for name, value in fields:
        try:
            kind = _known[name]
        except KeyError:
            kind = _learn(name)
        if value.__class__ is not bytes:
            value = field_value(name, value)  # noqa: PLW2901 - a subclass of bytes, or a TypeError
        if kind == _SENT or (kind == _LENGTH and length is not None):
            checked.append((name, value))
        elif kind == _LENGTH:
            length = value
    return checked, length


def _learn(name: bytes) -> bytes:
    if not isinstance(name, bytes):
        raise TypeError(f"a header name is bytes, not {type(name).__name__}: {name!r}")
    if len(_known) >= _MOST_NAMES:  # an application that invents names does not fill the memory
        _known.clear()
    lower = field_name(name).lower()
    _known[name] = _LENGTH if lower == _LENGTH else _LEFT_OUT if lower in _FRAMING else _SENT
    return _known[name]
