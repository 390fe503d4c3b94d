"""How numbers are written in a report: as many digits as say something, and intervals in brackets."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.stats import Interval

__all__ = ["DASH", "amount", "difference", "estimate", "percent", "several", "size", "times"]

MINUS, DASH, TIMES = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"


def amount(value: float) -> str:
    """Return a number with about three digits: 12,345, 123, 12.3, 1.23."""
    size = abs(value)
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{value:,.{digits}f}".replace("-", MINUS)


def estimate(value: Interval) -> str:
    """Return `value (low-high)`, or the value alone if it has no ends. What is measured is never below 0."""
    if value.low is None or value.high is None:
        return amount(value.value)
    return f"{amount(value.value)} ({amount(max(value.low, 0.0))}{DASH}{amount(value.high)})"


def times(value: Interval) -> str:
    """Return a ratio: `×0.52 (0.43-0.60)`."""
    if value.low is None or value.high is None:
        return f"{TIMES}{value.value:.2f}"
    return f"{TIMES}{value.value:.2f} ({value.low:.2f}{DASH}{value.high:.2f})"


def difference(value: Interval) -> str:
    """Return `+value (low to high)`; the brackets alone where the interval has both more and less in it."""
    if value.low is None or value.high is None:
        return signed(value.value)
    ends = f"({signed(value.low)} to {signed(value.high)})"
    return ends if value.low <= 0 <= value.high else f"{signed(value.value)} {ends}"


def percent(ratio: Interval) -> str:
    """Return a ratio as a change in percent, as `difference` does."""
    middle, low, high = (None if end is None else f"{signed((end - 1) * 100, 0)} %"
                         for end in (ratio.value, ratio.low, ratio.high))  # fmt: skip
    if ratio.low is None or ratio.high is None:
        return str(middle)
    ends = f"({low} to {high})"
    return ends if ratio.low <= 1 <= ratio.high else f"{middle} {ends}"


def signed(value: float, digits: int | None = None) -> str:
    """Return a number with its sign."""
    said = amount(value) if digits is None else f"{value:,.{digits}f}".replace("-", MINUS)
    return said if said.startswith(MINUS) else f"+{said}"


def several(names: Sequence[str]) -> str:
    """Return names as they stand in a sentence: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def size(value: float) -> str:
    """Return bytes in the unit that suits: `97 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{amount(value)} {unit}"
        value /= 1024
    return f"{amount(value)} GiB"
