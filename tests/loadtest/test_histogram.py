"""Histograms are merged without loss, and percentiles are values that were measured."""

from __future__ import annotations

import pytest

from loadtest.histogram import merged, percentile, percentiles


def test_merged_histograms_have_all_counts() -> None:
    assert merged([[[1, 2], [5, 1]], [[3, 4], [5, 9]], []]) == [[1, 2], [3, 4], [5, 10]]


@pytest.mark.parametrize(("share", "value"), [(1, 1), (50, 1), (51, 2), (99, 3), (100, 3)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, value: int) -> None:
    assert percentile([[1, 5], [2, 4], [3, 1]], share) == value


def test_nothing_has_no_percentiles() -> None:
    assert percentiles([]) == {}
    assert percentile([], 50) == 0
    assert percentiles([[7, 1]])["p9999"] == 7
