"""Header and trailer fields: an ordered, case-insensitive multi-map (RFC 9110, 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

__all__ = ["HeaderItems", "Headers", "LazyHeaders", "RawHeaders", "field_name", "field_value"]

HeaderItems = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""What `Headers` can be made of: a mapping, `Headers`, or (name, value) pairs."""
RawHeaders = list[tuple[bytes, bytes]]
"""Field lines as (name, value) pairs in the bytes of the wire."""

_T = TypeVar("_T")
_NOTHING = ()
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*+")


def field_name(name: str | bytes) -> bytes:
    """Return a field name as bytes; raises ValueError unless it is a token (RFC 9110, 5.1)."""
    if isinstance(name, str):
        raw = name.encode("latin-1", "replace")
    elif isinstance(name, bytes):
        raw = name
    else:
        raise TypeError(f"a header name is str or bytes, not {type(name).__name__}: {name!r}")
    if not _TOKEN.fullmatch(raw):
        raise ValueError(f"{name!r} is no header name: use letters, digits and any of !#$%&'*+-.^_`|~")
    return raw


def field_value(name: str | bytes, value: str | bytes) -> bytes:
    """Return the value for field `name` as bytes, without surrounding white space (RFC 9110, 5.5).

    Raises ValueError for control characters other than HTAB (CR and LF would start a header of their own)
    and for what Latin-1 does not have.
    """
    if isinstance(value, str):
        try:
            raw = value.encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError(
                f"the value of header {name!r} has characters outside Latin-1: {value!r}; percent-encode it, "
                "or pass the bytes to send"
            ) from None
    elif isinstance(value, bytes):
        raw = value
    else:
        raise TypeError(
            f"the value of header {name!r} is str or bytes, not {type(value).__name__}: {value!r}"
        )
    if not _VALUE.fullmatch(raw):
        raise ValueError(f"the value of header {name!r} has control characters: {value!r}")
    return raw.strip(b"\t ")


class Headers:
    """Field lines in order; names compare without regard to case and keep the case they were given.

    Reading gives `str` (Latin-1, as the field's bytes have no declared encoding); `raw` gives the bytes.
    Looking a name up scans the lines: a message has few, and most are never asked for.
    """

    __slots__ = ("raw",)

    raw: RawHeaders
    """The field lines, (name, value), as they go over the wire; change them through the methods."""

    def __init__(self, items: HeaderItems = ()) -> None:
        if items is _NOTHING:  # what most responses begin with
            self.raw = []
            return
        if isinstance(items, Headers):
            self.raw = items.raw.copy()
            return
        self.raw = []
        for name, value in items.items() if isinstance(items, Mapping) else items:
            self.add(name, value)

    @classmethod
    def from_raw(cls, raw: RawHeaders) -> Headers:
        """Wrap field lines that are known to be valid; nothing is checked, copied or decoded."""
        headers = cls.__new__(cls)
        headers.raw = raw
        return headers

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: _T) -> str | _T: ...
    def get(self, name: str, default: object = None) -> object:
        """Return the field's value, `default` where there is none.

        The values of several lines are joined by ", " (RFC 9110, 5.3), except of Set-Cookie, whose first line
        is returned: its values contain commas.
        """
        key = name.lower().encode("latin-1", "replace")
        size = len(key)
        found: bytes | None = None
        for field, value in self.raw:
            if len(field) == size and field.lower() == key:
                if found is None:
                    found = value
                    if key == b"set-cookie":
                        break
                else:
                    found += b", " + value
        return default if found is None else found.decode("latin-1")

    def getlist(self, name: str) -> list[str]:
        """Return the value of each line of that name, in order."""
        key = name.lower().encode("latin-1", "replace")
        return [value.decode("latin-1") for field, value in self.raw if field.lower() == key]

    def add(self, name: str | bytes, value: str | bytes) -> None:
        """Append a field line; raises ValueError for a name or value that cannot be sent."""
        self.raw.append((field_name(name), field_value(name, value)))

    def setdefault(self, name: str, value: str) -> str:
        """Set the field unless it is there; returns the value it has then."""
        present = self.get(name)
        if present is not None:
            return present
        self.add(name, value)
        return self[name]

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield (name, value) of each line, in order."""
        return iter(self)

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        line = (field_name(name), field_value(name, value))
        key = line[0].lower()
        for position, (field, _) in enumerate(self.raw):
            if field.lower() == key:
                later = (other for other in self.raw[position + 1 :] if other[0].lower() != key)
                self.raw[position:] = [line, *later]
                return
        self.raw.append(line)

    def __delitem__(self, name: str) -> None:
        key = name.lower().encode("latin-1", "replace")
        kept = [line for line in self.raw if line[0].lower() != key]
        if len(kept) == len(self.raw):
            raise KeyError(name)
        self.raw[:] = kept

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [(name.lower(), value) for name, value in self.raw] == [
            (name.lower(), value) for name, value in other.raw
        ]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"


class LazyHeaders(Headers):
    """The field lines that `split` makes of `section`, which it does when one is first asked for."""

    __slots__ = ("_section", "_split")

    def __init__(self, split: Callable[[bytes], RawHeaders], section: bytes) -> None:
        self._split = split
        self._section = section

    def __getattr__(self, name: str) -> Any:
        # Reached for an unset slot only: that of `raw`, until it is split.
        if name != "raw":
            raise AttributeError(name)
        self.raw = self._split(self._section)
        return self.raw
