"""Counted latencies, in whole microseconds: as exact as they were measured, merged without loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["PERCENTILES", "merged", "percentile", "percentiles"]

PERCENTILES = {"p50": 50.0, "p75": 75.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "p9999": 99.99, "max": 100.0}
Counts = Sequence[Sequence[int]]  # [[microseconds, count], ...] in rising order


def merged(histograms: Iterable[Counts]) -> list[list[int]]:
    """Return the sum of several."""
    total: dict[int, int] = {}
    for counts in histograms:
        for value, count in counts:
            total[value] = total.get(value, 0) + count
    return [[value, total[value]] for value in sorted(total)]


def percentile(counts: Counts, share: float) -> int:
    """Return the smallest value that `share` percent of all do not exceed; 0 for no values."""
    wanted = share / 100 * sum(count for _, count in counts)
    seen = 0
    for value, count in counts:
        seen += count
        if seen >= wanted:
            return value
    return counts[-1][0] if counts else 0


def percentiles(counts: Counts) -> dict[str, int]:
    """Return the usual percentiles by name, in microseconds; nothing for no values."""
    return {name: percentile(counts, share) for name, share in PERCENTILES.items()} if counts else {}
