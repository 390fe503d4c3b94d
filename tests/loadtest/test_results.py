"""What follows from the runs: results of valid ones, ratios of pairs, and no order that is not shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtest import results
from loadtest.report.markdown import as_markdown
from loadtest.report.terminal import as_text
from loadtest.results import ResultError
from loadtest.scenario import load_all
from loadtest.targets import Target
from loadtest.tools import Sample

READ = load_all()["read"]


def run(target: str, turn: int, rate: float, p99_us: int = 2000, **more: Any) -> dict[str, Any]:
    """One run of the scenario `read`."""
    sample = Sample(rate, int(rate), [[1000, 980], [p99_us, 20]], seconds=1.0, client_cpu=0.2, **more)
    place = Target(target, "http://127.0.0.1:1")
    cpu = {"app": rate * 100e-6, "db": rate * 50e-6}
    return results.run_of(
        READ,
        place,
        turn,
        "2030-01-01T00:00:00+00:00",
        sample,
        offered=None,
        cpu_s=cpu,
        memory_bytes={"app": 1e6},
    )


def document(*runs: dict[str, Any], measure: str = "requests_per_s") -> dict[str, Any]:
    """A document with these runs, and what follows from them."""
    names = dict.fromkeys(one["target"] for one in runs)
    targets = {name: {"url": "http://x", "version": "1"} for name in names}
    read: dict[str, Any] = {
        "title": "One row",
        "about": "",
        "tool": "wrk",
        "path": "/",
        "measure": measure,
        "rate": None,
        "files": [],
    }
    files = {"proxy": "0" * 64}
    made = {
        "format": results.FORMAT,
        "started": "2030-01-01T00:00:00+00:00",
        "finished": "2030-01-01T00:01:00+00:00",
        "complete": True,
        "command": "./kit bench",
        "settings": {
            "rounds": 3, "duration_s": 1, "warm_up_s": 1, "connections": 32, "users": 16, "rate": 200,
            "renewed": False,
        },
        "provenance": {"commit": "abc", "versions": {"wrk": "4"}, "files": files, "pinned": False,
            "placement": "not pinned", "stack": "processes"},
        "machine": {"system": "Linux", "kernel": "1", "architecture": "x", "processor": "Z80", "cpus": 2},
        "dataset": None,
        "targets": targets,
        "scenarios": {"read": read},
        "runs": list(runs),
        "sweeps": [],
        "faults": [],
    }  # fmt: skip
    results.conclude(made)
    return made


def three(target: str, *rates: float, **more: Any) -> list[dict[str, Any]]:
    """One run a round."""
    return [run(target, turn, rate, **more) for turn, rate in enumerate(rates, 1)]


def test_results_have_intervals_over_the_rounds_and_paired_ratios() -> None:
    made = document(*three("direct", 100, 200, 300), *three("nginx", 50, 100, 150))
    direct, nginx = made["results"]
    assert direct["requests_per_s"]["value"] == pytest.approx((100 * 200 * 300) ** (1 / 3))
    assert 0 < direct["requests_per_s"]["low"] < 100 < 300 < direct["requests_per_s"]["high"]
    assert direct["ratio_to_direct"] is None
    assert nginx["ratio_to_direct"]["value"] == pytest.approx(0.5)
    assert nginx["ratio_to_direct"]["high"] == pytest.approx(0.5)
    assert nginx["latency_us"]["p99"] == 2000
    assert nginx["cpu_us_per_request"] == {"app": pytest.approx(100), "db": pytest.approx(50)}


def test_a_ranking_is_claimed_only_where_intervals_do_not_overlap() -> None:
    far = document(*three("direct", 200, 201, 199), *three("nginx", 100, 101, 99))
    assert far["rankings"] == {"read": [["direct"], ["nginx"]]}
    assert "read, highest rate first: direct, then nginx" in as_text(far)
    near = document(*three("direct", 200, 150, 250), *three("nginx", 199, 140, 251))
    assert near["rankings"] == {"read": [["direct", "nginx"]]}
    assert "read: no order is shown between direct and nginx" in as_text(near)


def test_where_the_rate_is_given_the_lowest_p99_is_first() -> None:
    runs = [*three("direct", 200, 200, 200, p99_us=9000), *three("nginx", 200, 200, 200, p99_us=3000)]
    made = document(*runs, measure="p99_ms")
    assert made["rankings"] == {"read": [["nginx"], ["direct"]]}
    assert made["results"][1]["ratio_to_direct"]["value"] == pytest.approx(1 / 3)
    assert "p99 ×0.33" in as_text(made)


def test_one_bad_round_takes_the_result_and_its_ratios_away() -> None:
    bad = run("nginx", 3, 150, errors={"status": 3}, note="503")
    made = document(*three("direct", 100, 200, 300), *three("nginx", 50, 100), bad)
    nginx = made["results"][1]
    assert not nginx["valid"]
    assert nginx["value"] is None
    assert nginx["problems"] == ["errors: status 3: 503"]
    assert made["rankings"] == {}
    assert "read nginx: errors: status 3: 503" in as_text(made)
    assert "| read | nginx | - | not valid | - | - | - | - |" in as_markdown(made)


def test_what_was_not_run_is_said() -> None:
    made = document(*three("direct", 100, 200))
    made["targets"]["caddy"] = {"url": "http://x", "version": "1"}
    made["complete"] = False
    results.conclude(made)
    assert made["results"][1]["problems"] == ["not run"]
    assert "not run" in as_text(made)
    said = "**Interrupted: this is what had been measured until then. 1 of 2 were not run.**"
    assert said in as_markdown(made)


def test_the_page_says_how_to_repeat_the_run() -> None:
    page = as_markdown(document(*three("direct", 100, 200)))
    assert "The line that repeats it:\n\n    ./kit bench\n" in page
    assert "| machine | Z80, 2 CPUs, Linux 1 |" in page
    assert "| settings | proxy 000000000000 |" in page


def test_a_document_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = document(*three("direct", 100, 200))
    assert results.read(results.write(tmp_path / "new", made)) == made
    with pytest.raises(ResultError, match="cannot read"):
        results.read(tmp_path / "nowhere.json")
