"""What a report says in words and tables: no more than the rounds show, and figures that can be read."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.report import tables, verdicts, words
from loadtest.report.events import marks
from loadtest.report.numbers import cores_used, limit_of
from loadtest.report.sections import all_plots
from loadtest.stats import Interval
from tests.loadtest.test_results import document, run, three


@pytest.mark.parametrize(
    ("value", "said"),
    [(12345.6, "12,346"), (123.4, "123"), (99.96, "100"), (12.34, "12.3"), (1.234, "1.23"), (-0.5, "−0.50")],
)
def test_numbers_have_as_many_digits_as_say_something(value: float, said: str) -> None:
    assert words.amount(value) == said


def test_intervals_stand_in_brackets() -> None:
    assert words.estimate(Interval(100, 90, 110)) == "100 (90.0–110)"
    assert words.estimate(Interval(100, None, None)) == "100"
    assert words.times(Interval(0.5, 0.4, 0.6)) == "×0.50 (0.40–0.60)"


def test_a_difference_that_is_not_shown_has_no_figure() -> None:
    assert words.difference(Interval(3, 1, 5)) == "+3.00 (+1.00 to +5.00)"
    assert words.difference(Interval(3, -1, 7)) == "(−1.00 to +7.00)"
    assert words.difference(Interval(3, None, None)) == "+3.00"
    assert words.percent(Interval(0.5, 0.4, 0.6)) == "−50 % (−60 % to −40 %)"
    assert words.percent(Interval(0.9, 0.7, 1.1)) == "(−30 % to +10 %)"
    assert words.percent(Interval(0.9, None, None)) == "−10 %"


def test_names_and_sizes_are_written_out() -> None:
    assert words.several(["a", "b", "c"]) == "a, b and c"
    assert words.several(["a"]) == "a"
    assert words.size(97 * 1024**2) == "97.0 MiB"
    assert words.size(3 * 1024**3) == "3.00 GiB"


def places(made: dict[str, Any]) -> list[tuple[str, str]]:
    """Each target with its place."""
    return [(row[1], row[2]) for row in tables.verdict(made).rows]


def test_a_place_is_as_wide_as_what_is_not_shown() -> None:
    clear = document(*three("direct", 300, 301), *three("nginx", 200, 201), *three("caddy", 100, 101))
    assert places(clear) == [("direct", "1"), ("nginx", "2"), ("caddy", "3")]
    assert verdicts.verdicts(clear) == ["read, highest rate first: direct, then nginx, then caddy"]
    # direct is before caddy; nginx, whose rounds do not agree, may be anywhere.
    partly = document(*three("direct", 300, 301), *three("nginx", 120, 250), *three("caddy", 100, 101))
    assert places(partly) == [("direct", "1–2"), ("nginx", "1–3"), ("caddy", "2–3")]
    assert verdicts.verdicts(partly) == [
        "read, highest rate first: direct before caddy. No other order is shown"
    ]
    once = document(*three("direct", 300), *three("nginx", 200))
    assert places(once) == [("direct", "-"), ("nginx", "-")]
    assert verdicts.verdicts(once) == ["read: no ranking, because one round has no interval"]


def test_what_a_proxy_costs_is_of_runs_of_the_same_round() -> None:
    # All is slower in the second round; the proxy always takes a tenth.
    direct = [run("direct", turn, rate, p99_us=9000 + turn) for turn, rate in ((1, 200), (2, 100))]
    nginx = [run("nginx", turn, rate, p99_us=9500 + turn) for turn, rate in ((1, 180), (2, 90))]
    [row] = tables.cost(document(*direct, *nginx)).rows
    assert row == (
        "read",
        "nginx",
        "−10 % (−10 % to −10 %)",
        "(+0.00 to +0.00)",
        "+0.50 (+0.50 to +0.50)",
        "(+0.00 to +0.00)",
    )


@pytest.mark.parametrize(
    ("cpu_s", "rate", "said"),
    [
        ({"load": 0.95, "app": 0.5}, None, "the load generator's core"),
        ({"load": 0.5, "app": 1.4}, None, "all cores are busy"),
        ({"load": 0.1, "app": 0.3}, None, "no lack of processor time"),
        ({"load": 0.1, "app": 0.3}, 200, "nothing: the rate was given"),
        ({}, None, "not known"),
    ],
)
def test_processor_time_says_what_the_limit_was(
    cpu_s: dict[str, float], rate: float | None, said: str
) -> None:
    made = document(*three("direct", 100))
    made["scenarios"]["read"]["rate"] = rate
    made["runs"][0]["cpu_s"] = cpu_s
    assert cores_used(made["runs"]) == pytest.approx(cpu_s)
    assert limit_of(made, "read", made["runs"]) == said


@pytest.mark.parametrize(
    ("cores", "said"), [(2, "the servers' core is busy"), (8, "no lack of processor time")]
)
def test_of_pinned_servers_their_own_cores_are_the_limit(cores: int, said: str) -> None:
    made = document(*three("direct", 100))
    made["provenance"]["pinned"] = True
    made["machine"]["usable_cores"] = list(range(cores))
    made["runs"][0]["cpu_s"] = {"load": 0.1, "nginx": 0.5, "app": 0.45}
    assert limit_of(made, "read", made["runs"]) == said
    [plot] = [one for one in all_plots(made) if one.name == "read-cores"]
    assert f"of {cores - 1} core" in plot.about
    assert "direct 0.9" in plot.about  # without the load generator, which has a core of its own


def pools(*rates: tuple[int, int, float]) -> dict[str, Any]:
    """A document with pools: size, round, rate."""
    made = document(*three("direct", 100))
    made["pool"] = [
        {"size": size, "round": turn, "requests_per_s": rate, "latency_us": {"p99": 9}, "problems": []}
        for size, turn, rate in rates
    ]
    return made


def test_of_pools_the_smallest_that_is_not_slower_is_named() -> None:
    grows = pools((1, 1, 100), (1, 2, 50), (4, 1, 202), (4, 2, 100), (8, 1, 200), (8, 2, 101))
    assert (
        verdicts.pool(grows) == "No pool is shown to be faster than that of 4, by ratios of the same round."
    )
    assert verdicts.pool(pools((1, 1, 100), (1, 2, 101), (4, 1, 200), (4, 2, 201))) == (
        "The largest pool, 4, is shown to be faster than the others."
    )
    assert verdicts.pool(pools((1, 1, 100), (4, 1, 200))) == (
        "The highest rate was with 4; one round says no more."
    )
    bad = pools((1, 1, 100))
    bad["pool"][0]["problems"] = ["errors: status 1"]
    assert verdicts.pool(bad) == "No size has a valid result."
    assert tables.pool(bad).rows == [("1", "not valid", "-")]
    assert verdicts.problems(bad) == ["pool of 1: errors: status 1"]


def test_of_one_valid_pool_nothing_is_compared() -> None:
    made = pools((1, 1, 100), (1, 2, 101), (4, 1, 200), (4, 2, 201))
    made["pool"][0]["problems"] = ["errors: status 27"]
    assert verdicts.pool(made) == "Only the pool of 4 has valid results, so there is nothing to compare."


def test_events_that_are_near_to_each_other_share_a_mark() -> None:
    assert marks([[1.0, "a"], [1.2, "b"], [5.0, "c"]], near=0.5) == [("1, 2", 1.0), ("3", 5.0)]


def test_another_server_is_an_application_and_no_proxy() -> None:
    found = tables.by_kind({"load": 0.1, "db": 0.2, "nginx": 0.3, "app": 0.4, "uvicorn": 0.5})
    assert found == pytest.approx({"load": 0.1, "proxy": 0.3, "app": 0.9, "db": 0.2})
