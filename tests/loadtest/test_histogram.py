"""Histograms are merged without loss, and percentiles are values that were measured."""

from __future__ import annotations

import pytest

from loadtest.histogram import measured, merged, percentile, percentiles


def test_merged_histograms_have_all_counts() -> None:
    assert merged([[[1, 2], [5, 1]], [[3, 4], [5, 9]], []]) == [[1, 2], [3, 4], [5, 10]]


@pytest.mark.parametrize(("share", "value"), [(1, 1), (50, 1), (51, 2), (99, 3), (100, 3)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, value: int) -> None:
    assert percentile([[1, 5], [2, 4], [3, 1]], share) == value


def test_nothing_has_no_percentiles() -> None:
    assert percentiles([]) == {}
    assert percentile([], 50) == 0
    assert percentiles([[7, 1]])["p9999"] == 7


def corrected(counts: dict[int, int], interval: int) -> list[list[int]]:
    """What wrk makes of latencies before it prints them (stats_correct)."""
    found = dict(counts)
    for value in range(2 * interval, max(counts) + 1):
        for added in range(value - interval, interval, -interval):
            found[added] = found.get(added, 0) + found.get(value, 0)
    return [[value, found[value]] for value in sorted(found) if found[value]]


def test_what_wrk_adds_is_taken_out_again() -> None:
    counts = {3: 50, 10: 7, 11: 1, 20: 4, 21: 2, 30: 3, 45: 1, 55: 2, 1000: 1}
    printed = corrected(counts, 10)
    assert sum(count for _, count in printed) > sum(counts.values())
    assert measured(printed, 10) == [list(pair) for pair in counts.items()]
    assert measured([[1, 5], [19, 1]], 10) == [[1, 5], [19, 1]]
