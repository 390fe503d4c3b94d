"""Header fields as applications of other interfaces hand them over: checked once for each name."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from pierhead.messages.headers import RawHeaders, field_name, field_value

__all__ = ["checked_fields", "response_fields"]

_MOST_NAMES = 1024
# Framing is the server's: what an application says about it is left out.
_FRAMING = frozenset({b"transfer-encoding", b"connection", b"keep-alive"})
_LENGTH = b"content-length"


class _Kind(enum.Enum):
    SENT = "sent as it is"
    LEFT_OUT = "left out"
    LENGTH = "the Content-Length"


# As globals: looking a member of an Enum up costs more, and this is done several times for every response.
_SENT, _LEFT_OUT, _IS_LENGTH = _Kind
_known: dict[bytes, _Kind] = {}  # by field name


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
        if kind is _SENT or (kind is _IS_LENGTH and length is not None):
            checked.append((name, value))
        elif kind is _IS_LENGTH:
            length = value
    return checked, length


def _learn(name: bytes) -> _Kind:
    if not isinstance(name, bytes):
        raise TypeError(f"a header name is bytes, not {type(name).__name__}: {name!r}")
    if len(_known) >= _MOST_NAMES:  # an application that invents names does not fill the memory
        _known.clear()
    lower = field_name(name).lower()
    _known[name] = _IS_LENGTH if lower == _LENGTH else _LEFT_OUT if lower in _FRAMING else _SENT
    return _known[name]
