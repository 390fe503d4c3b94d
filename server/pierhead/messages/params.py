"""Query parameters and form fields: immutable multi-maps, and the urlencoded form they come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar, overload
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from pierhead.messages.uploads import Upload

__all__ = ["FormData", "MultiDict", "QueryParams", "TooManyFieldsError", "parse_urlencoded"]

_V = TypeVar("_V")
_T = TypeVar("_T")


class TooManyFieldsError(ValueError):
    """There are more fields than the limit allows."""


def parse_urlencoded(text: str, max_fields: int | None = None) -> list[tuple[str, str]]:
    """Parse application/x-www-form-urlencoded (WHATWG URL, 5.1) into pairs, in order.

    Bytes that are no UTF-8 become U+FFFD. Raises TooManyFieldsError for more than `max_fields`.
    """
    if max_fields is not None and text.count("&") >= max_fields:
        raise TooManyFieldsError(f"the form has more than {max_fields} fields")
    pairs = []
    for piece in text.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((unquote_plus(name), unquote_plus(value)))
    return pairs


class MultiDict(Generic[_V]):
    """An immutable map of names to one or more values.

    `[name]` and `get` return the first value, `getlist` all of them, `items` every pair in order; iteration
    gives each name once, so that `dict(params)` has the first values.
    """

    __slots__ = ("_pairs", "_values")

    def __init__(self, pairs: Iterable[tuple[str, _V]] = ()) -> None:
        self._pairs = list(pairs)
        self._values: dict[str, list[_V]] = {}
        for name, value in self._pairs:
            self._values.setdefault(name, []).append(value)

    @overload
    def get(self, name: str) -> _V | None: ...
    @overload
    def get(self, name: str, default: _T) -> _V | _T: ...
    def get(self, name: str, default: object = None) -> object:
        """Return the first value of that name, `default` where there is none."""
        values = self._values.get(name)
        return default if values is None else values[0]

    def getlist(self, name: str) -> list[_V]:
        """Return all values of that name, in order."""
        return list(self._values.get(name, ()))

    def keys(self) -> Iterable[str]:
        """Return the names, each once, in order of first appearance."""
        return self._values.keys()

    def items(self) -> Iterator[tuple[str, _V]]:
        """Yield every (name, value) pair in order."""
        return iter(self._pairs)

    def __getitem__(self, name: str) -> _V:
        return self._values[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MultiDict):
            return NotImplemented
        return self._pairs == other._pairs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"


class QueryParams(MultiDict[str]):
    """The parameters of a query string."""

    __slots__ = ()

    @classmethod
    def parse(cls, query: str) -> QueryParams:
        """Parse a query string, without its question mark."""
        return cls(parse_urlencoded(query)) if query else cls()


class FormData(MultiDict[str]):
    """The text fields of a form; its uploaded files are in `files`, so that neither passes for the other."""

    __slots__ = ("files",)

    def __init__(
        self, fields: Iterable[tuple[str, str]] = (), files: Iterable[tuple[str, Upload]] = ()
    ) -> None:
        super().__init__(fields)
        self.files: MultiDict[Upload] = MultiDict(files)
        """The uploaded files by field name."""

    def close(self) -> None:
        """Close the uploaded files; those spooled to disk are gone then."""
        for _, upload in self.files.items():
            upload.close()
