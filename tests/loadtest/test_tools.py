"""wrk and locust are run for a bounded time, and their errors are counted, never averaged away."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from loadtest.tools import Sample, last_json, missing, percentile, run_locust, run_wrk, summarise, version
from tests.loadtest.fake import FakeStack

EXAMPLE = Path(__file__).parents[2] / "examples" / "simple" / "load.py"

needs_wrk = pytest.mark.skipif(missing("wrk") is not None, reason=str(missing("wrk")))


@pytest.mark.wrk
@needs_wrk
def test_wrk_counts_requests_and_latencies(stack: FakeStack) -> None:
    sample = run_wrk(stack.url + "/", duration_s=1, connections=2)
    assert sample.valid
    assert sample.requests > 10
    assert 0 < sample.p50_ms <= sample.p99_ms
    assert sample.requests_per_s == pytest.approx(sample.requests, rel=0.5)


@pytest.mark.wrk
@needs_wrk
def test_wrk_counts_wrong_status_codes(stack: FakeStack) -> None:
    stack.fail_after = 20
    sample = run_wrk(stack.url + "/", duration_s=1, connections=2)
    assert sample.errors["status"] > 0
    assert not sample.valid


@pytest.mark.wrk
@needs_wrk
def test_wrk_without_a_server_is_an_error() -> None:
    sample = run_wrk("http://127.0.0.1:9/", duration_s=1, connections=1)
    assert sample.errors == {"tool": 1}
    assert "unable to connect" in sample.note


def test_locust_runs_the_example_and_cleans_up(stack: FakeStack) -> None:
    sample = run_locust(EXAMPLE, stack.url + "/simple", duration_s=1, users=2)
    assert sample.valid, sample
    assert sample.requests > 10
    assert 0 <= sample.p50_ms <= sample.p99_ms < 1000
    assert stack.users == {}


def test_locust_fails_on_a_right_status_with_wrong_content(stack: FakeStack) -> None:
    stack.stale = True
    sample = run_locust(EXAMPLE, stack.url + "/simple", duration_s=1, users=1)
    assert sample.errors["GET /users/ID"] > 0


def test_locust_with_a_broken_file_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "load.py"
    broken.write_text("no python\n")
    sample = run_locust(broken, "http://127.0.0.1:9", duration_s=1, users=1)
    assert sample.errors == {"tool": 1}
    assert "SyntaxError" in sample.note


def test_a_tool_that_is_missing_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert "package wrk" in str(missing("wrk"))
    assert version("wrk") == ""


@needs_wrk
@pytest.mark.wrk
def test_versions_are_one_line() -> None:
    assert version("wrk").startswith("wrk ")
    assert shutil.which("wrk")
    assert version("locust").startswith("locust ")


def test_statistics_of_several_requests_become_one_sample() -> None:
    entries = [
        {"name": "a", "num_requests": 3, "num_failures": 0, "start_time": 10.0,
         "last_request_timestamp": 12.0, "response_times": {"1.0": 2, "5.0": 1}},
        {"name": "b", "num_requests": 1, "num_failures": 1, "start_time": 10.5,
         "last_request_timestamp": 11.0, "response_times": {"9": 1}},
    ]  # fmt: skip
    assert summarise(entries) == Sample(2.0, 1.0, 9.0, 4, {"b": 1})


def test_no_requests_is_an_error() -> None:
    assert not summarise([]).valid


@pytest.mark.parametrize(("share", "value"), [(0.01, 1), (0.5, 1), (0.51, 2), (0.99, 3), (1.0, 3)])
def test_percentiles_of_counted_values(share: float, value: float) -> None:
    assert percentile({3.0: 1, 1.0: 5, 2.0: 4}, share) == value


def test_output_without_json_is_none() -> None:
    assert last_json("Running...\n") is None
    assert last_json('text\n{"a": 1}\n') == {"a": 1}
