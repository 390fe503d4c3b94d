"""Header fields as applications of other interfaces hand them over: checked once for each name."""

from __future__ import annotations

from collections.abc import Iterable

from pierhead.messages.headers import RawHeaders, field_name, field_value

__all__ = ["checked_fields"]

_MOST_NAMES = 1024
# Framing is the server's: what an application says about it is left out.
_FRAMING = frozenset({b"transfer-encoding", b"connection", b"keep-alive"})
_known: dict[bytes, bool] = {}  # field name -> whether it is sent


def checked_fields(fields: Iterable[Iterable[bytes]]) -> RawHeaders:
    """Return field lines without those about framing, which is the server's.

    Raises TypeError for what is no pair of bytes, ValueError for a name that is no token. Line breaks in
    values are found by the protocol.
    """
    checked = []
    for name, value in fields:
        try:
            sent = _known[name]
        except KeyError:
            sent = _learn(name)
        if value.__class__ is not bytes:
            value = field_value(name, value)  # noqa: PLW2901 - a subclass of bytes, or a TypeError
        if sent:
            checked.append((name, value))
    return checked


def _learn(name: bytes) -> bool:
    if not isinstance(name, bytes):
        raise TypeError(f"a header name is bytes, not {type(name).__name__}: {name!r}")
    if len(_known) >= _MOST_NAMES:  # an application that invents names does not fill the memory
        _known.clear()
    _known[name] = field_name(name).lower() not in _FRAMING
    return _known[name]
