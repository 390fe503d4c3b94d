"""What a few rounds allow to say: means with 95 % intervals, ratios, and which differences are shown.

Intervals are Student's t over the rounds' means, so that neither a single lucky round nor the thousands of
requests within a round make them narrow. They are made on a log scale, because what disturbs a rate or a
latency multiplies it, and because none is below 0; ratios are of rounds that were run next to each other.
Where intervals overlap, no order is claimed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Interval", "change", "geometric", "mean", "ranking", "ratio"]

# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom; beyond, the normal distribution's.
T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
Z95 = 1.960


@dataclass(frozen=True)
class Interval:
    """An estimate, and where the true value lies in 95 of 100 cases; no ends if there is but one round."""

    value: float
    low: float | None
    high: float | None

    @property
    def known(self) -> bool:
        """Whether there are ends."""
        return self.low is not None and self.high is not None

    def overlaps(self, other: Interval) -> bool:
        """Tell whether it has values in common with another one; without ends nothing is excluded."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return True
        return self.low <= other.high and other.low <= self.high


def quantile(freedom: float) -> float:
    """Return t's quantile, for the next lower whole number of degrees of freedom."""
    whole = max(int(freedom), 1)
    return T95[whole - 1] if whole <= len(T95) else Z95


def mean(values: Sequence[float]) -> Interval:
    """Return the mean of at least one value."""
    middle = statistics.fmean(values)
    if len(values) < 2:
        return Interval(middle, None, None)
    half = quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(middle, middle - half, middle + half)


def geometric(values: Sequence[float]) -> Interval:
    """Return the geometric mean of at least one value, all above 0."""
    return exponential(mean([math.log(value) for value in values]))


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """Return the (geometric) mean ratio of values that belong together in pairs, all above 0."""
    logs = mean([math.log(one / other) for one, other in zip(numerators, denominators, strict=True)])
    return exponential(logs)


def change(before: Sequence[float], after: Sequence[float]) -> Interval:
    """Return the ratio of `after` to `before` for values of two runs, all above 0 (Welch's interval)."""
    one, other = ([math.log(value) for value in values] for values in (before, after))
    middle = statistics.fmean(other) - statistics.fmean(one)
    if len(one) < 2 or len(other) < 2:
        return exponential(Interval(middle, None, None))
    shares = [statistics.variance(values) / len(values) for values in (one, other)]
    error = math.sqrt(sum(shares))
    below = sum(share**2 / (len(values) - 1) for share, values in zip(shares, (one, other), strict=True))
    half = quantile(sum(shares) ** 2 / below if below else 1) * error
    return exponential(Interval(middle, middle - half, middle + half))


def exponential(logs: Interval) -> Interval:
    """Return an interval of logarithms as one of ratios."""
    low, high = (None if end is None else math.exp(end) for end in (logs.low, logs.high))
    return Interval(math.exp(logs.value), low, high)


def ranking(intervals: Mapping[str, Interval]) -> list[list[str]]:
    """Return names from the highest to the lowest, in groups: no order is shown within a group.

    A group ends where the next name's interval overlaps with none of the group's.
    """
    groups: list[list[str]] = []
    for name in sorted(intervals, key=lambda name: -intervals[name].value):
        if groups and any(intervals[name].overlaps(intervals[other]) for other in groups[-1]):
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups
