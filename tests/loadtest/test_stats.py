"""Intervals and ratios: known values, and no order where they overlap."""

from __future__ import annotations

import math

import pytest

from loadtest.stats import T95, Interval, change, mean, quantile, ranking, ratio


def test_a_mean_has_students_interval() -> None:
    interval = mean([10.0, 12.0, 14.0])
    assert interval.value == 12.0
    half = 4.303 * 2.0 / math.sqrt(3)
    assert interval.low == pytest.approx(12 - half)
    assert interval.high == pytest.approx(12 + half)


def test_one_round_has_no_interval() -> None:
    assert mean([5.0]) == Interval(5.0, None, None)
    assert not mean([5.0]).known
    assert ratio([2.0], [1.0]).value == pytest.approx(2.0)


def test_ratios_are_of_pairs_so_that_a_slow_round_does_not_matter() -> None:
    interval = ratio([200.0, 20.0, 400.0], [100.0, 10.0, 200.0])
    assert interval.value == pytest.approx(2.0)
    assert interval.low == pytest.approx(2.0)
    assert interval.high == pytest.approx(2.0)


def test_a_change_between_two_runs_is_welchs() -> None:
    same = change([100.0, 101.0, 99.0], [100.0, 99.0, 101.0])
    assert same.low is not None
    assert same.high is not None
    assert same.low < 1 < same.high
    slower = change([100.0, 101.0, 99.0], [50.0, 51.0, 49.0])
    assert slower.high is not None
    assert slower.high < 0.6
    assert change([1.0], [2.0]).value == pytest.approx(2.0)
    assert change([1.0, 1.0], [2.0, 2.0]).low == pytest.approx(2.0)


def test_quantiles_fall_towards_the_normal_distributions() -> None:
    assert list(T95) == sorted(T95, reverse=True)
    assert quantile(2.9) == T95[1]
    assert quantile(0.3) == T95[0]
    assert quantile(1000) == 1.960


def test_a_ranking_has_groups_within_which_nothing_is_shown() -> None:
    found = ranking({
        "slow": Interval(10, 9, 11), "fast": Interval(30, 28, 32), "faster": Interval(31, 29, 33),
        "middle": Interval(20, 19, 21),
    })  # fmt: skip
    assert found == [["faster", "fast"], ["middle"], ["slow"]]


def test_without_intervals_there_is_one_group() -> None:
    assert ranking({"a": Interval(1, None, None), "b": Interval(100, None, None)}) == [["b", "a"]]
