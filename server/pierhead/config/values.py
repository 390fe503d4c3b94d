"""Values as people write them: sizes, times, numbers, lists, from text or TOML to Python."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from pierhead.config.settings import Kind, Knob

__all__ = ["format_value", "parse_value"]

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_TIMES = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER_AND_UNIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


def parse_value(knob: Knob, raw: object) -> Any:
    """Turn what a source has for `knob` into the type of its field.

    `raw` is text, or a value of TOML or Python. Raises ValueError that says what is expected.
    """
    if isinstance(raw, str):
        raw = raw.strip()
    if knob.optional and raw in (None, "", (), []):
        return knob.default if knob.default is None else type(knob.default)()
    value = _PARSERS[knob.kind](raw)
    if knob.choices and value not in knob.choices:
        raise ValueError(f"use one of {', '.join(knob.choices)}")
    if knob.kind in _NUMBERS and value < knob.minimum:
        least = "1" if knob.zero == "" and knob.minimum == 1 else format_value(knob, knob.minimum)
        raise ValueError(f"use at least {least}")
    return value


def format_value(knob: Knob, value: object) -> str:
    """Write a value the way `parse_value` reads it, for people."""
    if value in (None, "", ()):
        return "(none)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " ".join(value)
    if knob.kind is Kind.MODE:
        return f"{value:03o}"
    if isinstance(value, int | float):
        text = f"{value:g}" if isinstance(value, float) else str(value)
        if knob.zero and value == 0:
            return f"{text} ({knob.zero})"
        if knob.kind is Kind.SIZE and isinstance(value, int):
            for unit, factor in (("MiB", 2**20), ("KiB", 2**10)):
                if value >= factor and value % factor == 0:
                    return f"{value // factor}{unit}"
        return text + ("s" if knob.kind is Kind.DURATION else "")
    return str(value)


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw:
        raise ValueError("use a text that is not empty")
    if "\0" in raw or "\n" in raw or "\r" in raw:
        raise ValueError("use a text of one line")
    return raw


def _flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in _TRUE | _FALSE:
        return raw.lower() in _TRUE
    raise ValueError("use true or false")


def _count(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,18}", raw):
        return int(raw)
    raise ValueError("use a whole number")


def _size(raw: object) -> int:
    return int(_with_unit(raw, _SIZES, "use a size such as 65536, 64KiB or 16MB"))


def _duration(raw: object) -> float:
    return float(_with_unit(raw, _TIMES, "use a time such as 30, 30s, 1.5m or 500ms"))


def _with_unit(raw: object, units: dict[str, Any], expected: str) -> float:
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw):
        return raw
    if isinstance(raw, str) and (match := _NUMBER_AND_UNIT.fullmatch(raw.lower())):
        number, unit = match.groups()
        if unit in units:
            return (float(number) if "." in number else int(number)) * units[unit]  # type: ignore[no-any-return]
    raise ValueError(expected)


def _list(raw: object) -> tuple[str, ...]:
    items = re.findall(r"[^\s,]+", raw) if isinstance(raw, str) else raw
    if not isinstance(items, list | tuple) or not items:
        raise ValueError("use a list of texts, such as one two or one,two")
    return tuple(_text(item) for item in items)


def _mode(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= 0o777:
        return raw
    if isinstance(raw, str) and re.fullmatch(r"(?:0o)?[0-7]{1,4}", raw) and int(raw, 8) <= 0o777:
        return int(raw, 8)
    raise ValueError("use an octal mode such as 022")


_NUMBERS = {Kind.COUNT, Kind.SIZE, Kind.DURATION}
_PARSERS: dict[Kind, Callable[[object], Any]] = {
    Kind.TEXT: _text,
    Kind.FLAG: _flag,
    Kind.COUNT: _count,
    Kind.SIZE: _size,
    Kind.DURATION: _duration,
    Kind.LIST: _list,
    Kind.MODE: _mode,
}
