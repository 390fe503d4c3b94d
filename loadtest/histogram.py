"""Counted latencies, in whole microseconds: as exact as they were measured, merged without loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["PERCENTILES", "measured", "merged", "percentile", "percentiles"]

PERCENTILES = {"p50": 50.0, "p75": 75.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "p9999": 99.99, "max": 100.0}
Counts = Sequence[Sequence[int]]  # [[microseconds, count], ...] in rising order


def merged(histograms: Iterable[Counts]) -> list[list[int]]:
    """Return the sum of several."""
    total: dict[int, int] = {}
    for counts in histograms:
        for value, count in counts:
            total[value] = total.get(value, 0) + count
    return [[value, total[value]] for value in sorted(total)]


def measured(counts: Counts, interval: int) -> list[list[int]]:
    """Return what wrk measured, from what it prints, to which it has added what it did not.

    wrk (4.0 and later, `stats_correct`) supposes that each connection should have sent a request every
    `interval` microseconds, the mean time between two. For each latency x of at least two intervals it adds
    x - interval, x - 2 interval and so on, as long as they are above one interval. Since only smaller values
    are added, they are taken out again exactly, from the largest down. A closed loop has no such schedule:
    these requests were never due.
    """
    found = {pair[0]: pair[1] for pair in counts}
    for value in sorted(found, reverse=True):
        if value < 2 * interval:
            break
        for added in range(value - interval, interval, -interval):
            found[added] = found.get(added, 0) - found[value]
    return [[value, found[value]] for value in sorted(found) if found[value] > 0]


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
