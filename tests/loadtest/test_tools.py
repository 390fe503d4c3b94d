"""wrk and locust are run for a bounded time, and their errors are counted, never averaged away."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loadtest import tools
from loadtest.scenario import load_all
from loadtest.spawner import Spawner
from loadtest.tools import Sample, last_json, missing, run_wrk, summarise, version
from tests.loadtest.fake import FakeStack

EXAMPLE = Path(__file__).parents[2] / "examples" / "simple" / "load.py"

Locust = Callable[..., Sample]

needs_wrk = pytest.mark.skipif(missing("wrk") is not None, reason=str(missing("wrk")))


@pytest.fixture
def run_locust(spawner: Spawner) -> Locust:
    """Runs locust, which is loaded but once."""
    return partial(tools.run_locust, spawner=spawner)


@pytest.mark.wrk
@needs_wrk
def test_wrk_counts_requests_and_latencies(stack: FakeStack) -> None:
    sample = run_wrk(stack.url + "/", duration_s=1, connections=2)
    assert sample.valid
    assert sample.requests > 0
    assert 0 < sample.p50_ms <= sample.p99_ms
    assert 0 < sample.requests_per_s <= sample.requests * 1.1, "it ran for a second, or longer"
    values = [value for value, _ in sample.histogram]
    assert values == sorted(set(values))
    assert sum(count for _, count in sample.histogram) == sample.requests
    assert sample.client_cpu > 0
    assert sample.bytes > 0


@pytest.mark.wrk
@needs_wrk
def test_of_wrks_latencies_only_those_count_that_were_measured(stack: FakeStack) -> None:
    stack.pause_s, stack.pause_every = 0.1, 10
    sample = run_wrk(stack.url + "/", duration_s=2, connections=1)
    assert sample.valid
    assert sum(count for _, count in sample.histogram) == sample.requests
    slow = sum(count for value, count in sample.histogram if value >= 100_000)
    assert slow >= sample.requests // 10


@pytest.mark.wrk
@needs_wrk
def test_wrk_counts_wrong_status_codes(stack: FakeStack) -> None:
    stack.fail_after = 2
    sample = run_wrk(stack.url + "/", duration_s=1, connections=2)
    assert sample.errors["status"] > 0
    assert not sample.valid


@pytest.mark.wrk
@needs_wrk
def test_an_upload_has_to_arrive_whole(stack: FakeStack) -> None:
    upload = load_all()["upload"]
    assert upload.script
    words = [str(fact) for fact in upload.body_facts.values()]
    run = partial(run_wrk, stack.url + "/upload", duration_s=1, connections=2, script=upload.script)
    assert run(words=words).valid
    assert run(words=[words[0], "0" * 64]).errors["wrong"] > 0
    stack.stale = True
    assert run(words=words).errors["wrong"] > 0


@pytest.mark.wrk
@needs_wrk
def test_wrk_without_a_server_is_an_error() -> None:
    sample = run_wrk("http://127.0.0.1:9/", duration_s=1, connections=1)
    assert sample.errors == {"tool": 1}
    assert "unable to connect" in sample.note


def test_locust_runs_the_example_and_cleans_up(stack: FakeStack, run_locust: Locust) -> None:
    sample = run_locust([EXAMPLE], stack.url + "/simple", duration_s=1, users=2)
    assert sample.valid, sample
    assert sample.requests > 0
    assert 0 <= sample.p50_ms <= sample.p99_ms
    assert stack.users == {}


def test_several_locust_files_each_find_their_own_example(
    stack: FakeStack, tmp_path: Path, run_locust: Locust
) -> None:
    other = tmp_path / "elsewhere" / "load.py"
    other.parent.mkdir()
    other.write_text(
        "from locust import FastHttpUser, task\nclass Other(FastHttpUser):\n"
        "    @task\n    def read(self):\n        self.client.get('/7')\n"
    )
    stack.users[7] = {"id": 7}
    sample = run_locust([EXAMPLE, other], stack.url, duration_s=1, users=2, rate=20, prefixed=True)
    assert sample.valid, sample
    assert {"GET /users/ID", "/7"} & sample.counts.keys() == {"GET /users/ID", "/7"}
    assert "/elsewhere/7" in stack.paths
    assert "/simple/users" in stack.paths


def test_locust_fails_on_a_right_status_with_wrong_content(stack: FakeStack, run_locust: Locust) -> None:
    stack.stale = True
    sample = run_locust([EXAMPLE], stack.url + "/simple", duration_s=1, users=1)
    assert sample.errors["GET /users/ID"] > 0


def test_locust_with_a_broken_file_is_an_error(tmp_path: Path, run_locust: Locust) -> None:
    broken = tmp_path / "load.py"
    broken.write_text("no python\n")
    sample = run_locust([broken], "http://127.0.0.1:9", duration_s=1, users=1)
    assert sample.errors == {"tool": 1}
    assert "SyntaxError" in sample.note


def test_a_tool_that_is_missing_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert "package wrk" in str(missing("wrk"))
    assert version("wrk") == ""


@needs_wrk
@pytest.mark.wrk
def test_versions_are_one_line() -> None:
    assert shutil.which("wrk")
    for tool in ("wrk", "locust"):  # and neither where it is installed nor whose it is
        assert re.fullmatch(r"\S*\d\.\d+\S*", version(tool)), version(tool)


def test_a_version_that_does_not_come_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, 30)

    monkeypatch.setattr(subprocess, "run", hang)
    monkeypatch.setattr(tools, "missing", lambda tool: None)
    assert version("wrk") == "unknown"
    assert re.fullmatch(r"\d+\.\d+\S*", version("locust"))


def result(**more: Any) -> dict[str, Any]:
    """What locust_lab.py writes."""
    return {
        "requests": 4, "seconds": 2.0, "counts": {"a": 3, "b": 1}, "errors": {}, "series": [[0, 4, 0]],
        "histogram": [[1000, 3], [9000, 1]], "hdr": "HIST", "cpu_s": 0.5, "began": 1e9, "tasks": 3, **more,
    }  # fmt: skip


def test_results_of_locust_become_a_sample() -> None:
    sample = summarise(result())
    assert sample.valid
    assert (sample.requests_per_s, sample.p50_ms, sample.p99_ms) == (2.0, 1.0, 9.0)
    assert sample.client_cpu == 0.25


def test_failures_are_counted_by_request_and_their_reasons_noted() -> None:
    sample = summarise(result(errors={"GET /": {"wrong": 2, "late": 1}}))
    assert sample.errors == {"GET /": 3}
    assert sample.note == "late; wrong"


def test_no_requests_is_an_error() -> None:
    sample = summarise(result(requests=0, errors={"POST /": {"refused": 5}}))
    assert sample.errors == {"none": 1, "POST /": 5}
    assert sample.note == "refused"


def test_locust_keeps_a_rate_and_counts_from_when_a_request_was_due(
    stack: FakeStack, run_locust: Locust
) -> None:
    sample = run_locust([EXAMPLE], stack.url + "/simple", duration_s=2, users=2, rate=20)
    assert sample.valid, sample
    assert 1 <= sample.requests_per_s <= 30
    assert sample.tasks == sample.requests  # each of them is one request
    assert sum(sample.counts.values()) == sample.requests == sum(entry[1] for entry in sample.series)
    assert sum(count for _, count in sample.histogram) == sample.requests
    assert sample.hdr.startswith("HIST") == (importlib.util.find_spec("hdrh") is not None)
    stack.pause_s = 0.2  # 5 requests a second from each user are possible, and 10 are due
    slow = run_locust([EXAMPLE], stack.url + "/simple", duration_s=2, users=2, rate=20)
    assert slow.p99_ms > 400, slow.p99_ms  # a request took 200 ms, and waited for those before it


def read(tmp_path: Path, body: str = "self.client.get('/7')") -> Path:
    """A load file whose only task does this."""
    file = tmp_path / "load.py"
    file.write_text(
        "from locust import FastHttpUser, task\nclass Reader(FastHttpUser):\n"
        f"    network_timeout = 30\n    @task\n    def read(self):\n        {body}\n"
    )
    return file


def test_a_stall_that_outlasts_the_measurement_is_seen(
    stack: FakeStack, tmp_path: Path, run_locust: Locust
) -> None:
    stack.users[7] = {"id": 7}
    stack.pause_after, stack.pause_s = 10, 2.0  # of 40 that are due
    sample = run_locust([read(tmp_path)], stack.url, duration_s=2, users=4, rate=20)
    assert sample.errors == {}, sample.note
    assert sample.p99_ms > 2000, sample
    assert sample.tasks < 40


def test_a_request_that_is_never_answered_is_an_error(
    stack: FakeStack, tmp_path: Path, run_locust: Locust
) -> None:
    stack.users[7] = {"id": 7}
    stack.pause_after, stack.pause_s = 10, 60.0
    sample = run_locust([read(tmp_path)], stack.url, duration_s=2, users=4, rate=20)
    assert sample.errors.keys() == {"unanswered"}, sample


def test_what_a_load_file_raises_is_an_error(stack: FakeStack, tmp_path: Path, run_locust: Locust) -> None:
    file = read(tmp_path, "self.client.get('/7').headers['ETag'].strip()")
    stack.users[7] = {"id": 7}
    sample = run_locust([file], stack.url, duration_s=1, users=1, rate=10)
    assert sample.errors.keys() == {"exception"}
    assert "Error" in sample.note


def test_only_some_kinds_of_requests_may_count(stack: FakeStack, tmp_path: Path, run_locust: Locust) -> None:
    stack.users[7] = {"id": 7}
    file = read(tmp_path, "self.client.get('/7', name='part'); self.client.get('/7', name='whole')")
    sample = run_locust([file], stack.url, duration_s=1, users=1, rate=20, counted=["whole"])
    assert sample.valid, sample
    assert sample.requests == sample.counts["whole"] > 0
    assert sample.counts["part"] > 0
    assert sum(count for _, count in sample.histogram) == sample.requests
    assert sum(entry[1] for entry in sample.series) == sample.requests


def test_users_arrive_one_after_the_other(stack: FakeStack, run_locust: Locust) -> None:
    sample = run_locust([EXAMPLE], stack.url + "/simple", duration_s=2, users=4, arrive_s=2)
    assert sample.valid, sample
    users = [entry[1] for entry in sample.series]
    assert users == sorted(users)
    assert users[0] < users[-1]
    assert all(0 < entry[4] <= entry[5] for entry in sample.series if entry[2])
    assert sum(entry[2] for entry in sample.series) == sample.requests


def test_output_without_json_is_none() -> None:
    assert last_json("Running...\n") is None
    assert last_json('text\n{"a": 1}\n') == {"a": 1}
