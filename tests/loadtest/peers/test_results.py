"""The tables of `./kit peers`: paired ratios, goals, and no ratio where something was wrong."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest.machine import Cpu
from loadtest.peers import results
from loadtest.peers.scenarios import SCENARIOS, Measurement

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def good(value: float, cost_us: float = 10.0, **more: Any) -> Measurement:
    """A run of 1000 requests without errors."""
    return Measurement(value, Cpu(cost_us * 0.0006, cost_us * 0.0004), amount=1000, client_cpu=0.5, **more)


def document(scenario: str, runs: dict[str, list[Measurement]], **more: Any) -> dict[str, Any]:
    """The results of some rounds."""
    return {
        "complete": True,
        "command": "./kit peers --rounds 3",
        "commit": "abc+",
        "started": "2030-01-01T00:00:00+00:00",
        "settings": {"rounds": 3, "seconds": 1, "connections": 64, "stream_bytes": 10**9},
        "placement": {"pinned": True, "server_cores": [0], "load_cores": [1]},
        "machine": {"processor": "Z80", "system": "Linux", "kernel": "1.0"},
        "versions": {"python": "3.13.0", "wrk": "wrk 4"},
        "servers": {name: {"version": "1", "interface": "x"} for name in runs},
        "skipped": {},
        "measurements": [
            results.record(BY_NAME[scenario], name, turn, one)
            for name, list_of in runs.items()
            for turn, one in enumerate(list_of, 1)
        ],
        **more,
    }


def rows(document: dict[str, Any]) -> dict[str, list[str]]:
    """The cells of a table's lines by their server."""
    ((_, _, lines, _),) = results.tables(document)
    return {cells[0]: cells[1:] for cells in lines}


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    ours = [good(200.0), good(100.0), good(400.0)]  # the machine's speed changes from round to round
    theirs = [good(100.0, 20), good(50.0, 20), good(100.0, 40)]
    table = rows(document("minimal", {"pierhead": ours, "uvicorn": theirs}))
    assert table["pierhead"][:3] == ["200 (100-400)", "-", ""]
    assert table["uvicorn"][:3] == ["100 (50-100)", "2.00 (2.00-4.00)", "2: met"]
    assert table["uvicorn"][3:] == ["20.0 (20.0-40.0)", "60%/40%", "2.00 (2.00-4.00)", "50%"]


def test_a_goal_that_is_missed_is_said() -> None:
    table = rows(document("minimal", {"pierhead": [good(190.0)], "uvicorn": [good(100.0)]}))
    assert table["uvicorn"][1:3] == ["1.90 (1.90-1.90)", "2: not met"]


@pytest.mark.parametrize("wrong", ["pierhead", "uvicorn"])
def test_errors_in_one_round_make_the_row_and_its_ratio_invalid(wrong: str) -> None:
    runs = {"pierhead": [good(200.0), good(210.0)], "uvicorn": [good(100.0), good(110.0)]}
    runs[wrong][1] = Measurement(120.0, amount=5, errors={"status": 3}, note="why")
    made = document("minimal", runs)
    table = rows(made)
    assert table[wrong][0] == "invalid"
    assert table["uvicorn"][1] == "-"
    assert f"{wrong}: invalid, errors: status 3: why" in results.as_text(made)
    assert "120" not in results.as_markdown(made)


def test_a_client_at_its_limit_gives_a_figure_in_brackets_and_no_ratio() -> None:
    busy = [good(900.0, 5.0, client_bound=True), good(910.0, 5.0, client_bound=True), good(800.0, 5.0)]
    made = document("minimal", {"pierhead": [good(500.0)] * 3, "nginx": busy})
    assert rows(made)["nginx"][:3] == ["[900 (800-910)]", "-", "0.55: ?"]
    assert rows(made)["nginx"][5] == "0.50 (0.50-0.50)"  # its own processor time is right all the same
    assert "nginx: invalid: the client used more than 90% of its core" in results.as_text(made)
    assert "the server can do at least this" in results.as_text(made)


def test_of_latency_and_memory_less_is_better() -> None:
    table = rows(document("latency", {"pierhead": [good(1.0)], "uvicorn": [good(3.0)]}))
    assert table["uvicorn"][:2] == ["3.00 (3.00-3.00)", "3.00 (3.00-3.00)"]
    table = rows(document("idle", {"pierhead": [good(8.0)], "uvicorn": [good(4.0)]}))
    assert table["uvicorn"][1] == "0.50 (0.50-0.50)"


def test_a_disturbed_run_is_remarked_upon() -> None:
    made = document("minimal", {"pierhead": [good(100.0, disturbed=0.25)]})
    assert "pierhead: other programs used 25% of the server's core" in results.as_text(made)


def test_streams_say_how_their_memory_grew() -> None:
    grown = good(900.0, detail={"growth_bytes": 3 * 2**20})
    text = results.as_text(document("download", {"pierhead": [grown]}))
    assert "pierhead: 3.0 MiB more memory at most for 1,000 MB" in text


def test_the_page_says_where_and_how_it_was_made() -> None:
    made = document("minimal", {"pierhead": [good(100.0)]}, skipped={"socketify": "not installed"})
    page = results.as_markdown(made)
    assert "### Minimal GET" in page
    assert "| server | requests/s, median (min-max) |" in page
    assert "server on core 0, client on core 1; Z80, Linux 1.0; Python 3.13.0, wrk 4; pierhead 1" in page
    assert "Without socketify: not installed." in page
    assert "commit abc+" in page
    assert "Made with: `./kit peers --rounds 3`" in page
    made["placement"]["pinned"] = made["complete"] = False
    assert "Interrupted: not all rounds are here." in results.as_text(made)
    assert "not pinned: server and client shared all cores" in results.as_text(made)


def test_the_summary_has_the_same_figures_for_programs() -> None:
    made = document("minimal", {"pierhead": [good(200.0)], "uvicorn": [good(100.0)]})
    figures = results.summary(made)["minimal"]["uvicorn"]
    assert figures["value"] == {"median": 100.0, "least": 100.0, "most": 100.0}
    assert figures["ratio"]["median"] == 2.0
    assert figures["problem"] == ""


def test_goals_that_are_no_ratios_are_said_below_the_table() -> None:
    text = results.as_text(document("idle", {"pierhead": [good(5.0)]}))
    assert "pierhead: the goal is at most 4 KiB: not met" in text
    text = results.as_text(document("latency", {"pierhead": [good(2.0)], "nginx": [good(2.5)]}))
    assert "pierhead: the goal is the best peer's 2.50 ms: met" in text


def test_pipelining_is_compared_with_our_own_requests_one_by_one() -> None:
    both = document("pipelined", {"pierhead": [good(300.0)]})
    both["measurements"] += document("minimal", {"pierhead": [good(100.0)]})["measurements"]
    assert "pierhead: 3.00 times as many as one by one; the goal is 2: met" in results.as_text(both)


def test_the_same_application_is_compared_with_the_server_that_is_made_for_its_interface() -> None:
    runs = {"pierhead": [good(300.0)], "pierhead-asgi": [good(250.0)], "uvicorn": [good(200.0, 12.0)]}
    text = results.as_text(document("minimal", runs))
    assert "pierhead-asgi: 1.25 (1.25-1.25) times as many as uvicorn, with 1.20 (1.20-1.20) times as" in text
    assert "as little processor time each; the goal is 1.2: met" in text
    assert "gunicorn-wsgi" not in text
    assert "the goal" not in results.as_text(document("realistic", runs)).partition("times as many")[2]
    runs["uvicorn"] = [Measurement(120.0, errors={"status": 3})]
    assert "times as many" not in results.as_text(document("minimal", runs))
