"""Converters: what text a path parameter takes, and which value a handler gets for it.

    str    one segment, not empty; the default
    int    a whole number of 64 bits with sign, written the one way `str(int)` writes it: no leading zeros, no
           "+", no "-0". What no database column of 64 bits holds does not match, and so is a 404.
    float  a decimal number: digits, perhaps a fraction, perhaps "-"; no exponent, "nan" or "inf"
    uuid   8-4-4-4-12 hexadecimal digits of either case (RFC 9562, 4)
    path   the rest of the path, slashes and all; empty where the path ends with the slash before it

No parameter takes NUL, "." or "..": clients resolve dot segments (RFC 3986, 5.2.4), who sends them encoded
is trying something, and handlers make file names and keys out of parameters.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uuid

__all__ = ["Convert", "Converter", "Converters"]

Convert = Callable[[str], Any]
"""Turns the decoded text into the parameter; raises ValueError for text that does not match."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INT = re.compile(r"0|-?[1-9][0-9]{0,18}")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,308})(?:\.[0-9]{1,400})?")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

# Of the converters that match, the one that takes the least is tried first.
_EXACT, _NUMBER, _CUSTOM, _ANY = 0, 1, 2, 3


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Converter:
    """One type of path parameter."""

    name: str
    convert: Convert | None
    """None where the text is the value."""
    rank: int
    """Converters of a lower rank are tried first."""


def _int(text: str) -> int:
    if not _INT.fullmatch(text):
        raise ValueError(text)
    value = int(text)
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(text)
    return value


def _float(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise ValueError(text)
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


def _uuid(text: str) -> uuid.UUID:
    if not _UUID.fullmatch(text):
        raise ValueError(text)
    import uuid

    return uuid.UUID(text)


class Converters:
    """The converters of one application, by name."""

    def __init__(self) -> None:
        self._known = {
            "int": Converter("int", _int, _EXACT),
            "uuid": Converter("uuid", _uuid, _EXACT),
            "float": Converter("float", _float, _NUMBER),
            "str": Converter("str", None, _ANY),
        }

    def add(self, name: str, rule: str | re.Pattern[str] | Convert) -> None:
        """Add a converter: a regular expression for the whole decoded segment, or a function.

        The function takes the decoded segment and returns the value, or raises ValueError for no match.
        Raises ValueError for a name that is taken or no identifier and for a malformed expression, TypeError
        for another rule.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a converter: use letters, digits and _")
        if name in self._known or name == "path":
            raise ValueError(f"there is a converter {name!r} already; choose another name")
        if isinstance(rule, str):
            try:
                rule = re.compile(rule)
            except re.error as error:
                raise ValueError(f"converter {name!r}: {rule!r} is no regular expression: {error}") from error
        if isinstance(rule, re.Pattern):
            convert = _matching(rule)
        elif callable(rule):
            convert = rule
        else:
            raise TypeError(
                f"converter {name!r} is a regular expression or a function, not {type(rule).__name__}"
            )
        self._known[name] = Converter(name, convert, _CUSTOM)

    def __getitem__(self, name: str) -> Converter:
        try:
            return self._known[name]
        except KeyError:
            known = ", ".join(sorted([*self._known, "path"]))
            raise ValueError(
                f"there is no converter {name!r}; there are: {known}; add it by app.converter first"
            ) from None


def _matching(expression: re.Pattern[str]) -> Convert:
    def convert(text: str) -> str:
        if not expression.fullmatch(text):
            raise ValueError(text)
        return text

    return convert
