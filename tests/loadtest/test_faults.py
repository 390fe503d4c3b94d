"""Faults under load: what happened, which requests failed, and whether that is good enough."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest import bench, faults, tools
from loadtest.faults import FAULTS, run_faults
from loadtest.measuring import Measuring
from loadtest.report import tables, verdicts
from loadtest.report.markdown import as_markdown
from loadtest.report.page import as_html
from loadtest.spawner import Spawner
from loadtest.targets import Target
from loadtest.tools import Sample
from tests.loadtest.fake import FakeStack
from tests.loadtest.test_bench import document_in, nothing, running, runs
from tests.loadtest.test_results import document, three

__all__ = ["runs"]  # a fixture

WELL = [[second, 200, 0] for second in range(12)]
TARGETS = [Target("direct", "http://127.0.0.1:1"), Target("nginx", "http://127.0.0.1:2")]


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces the load by one with this outcome, which takes no time."""
    monkeypatch.setattr(faults, "START_S", 0.0)
    monkeypatch.setattr(faults, "LEAD_S", 0.0)

    def outcome(errors: dict[str, int], series: list[list[int]] = WELL, requests: int = 2400) -> None:
        began = time.time() + 60  # what happens is over in time, however slow this machine is
        made = Sample(200.0, requests, [[1, 1]], errors, seconds=12, series=series, began=began, note="why")
        monkeypatch.setattr(tools, "run_locust", lambda *_, **__: made)

    outcome({})
    return outcome


def stood(
    *names: str, disturb: faults.Disturb = lambda fault, role: f"{fault} {role}"
) -> list[dict[str, Any]]:
    """Run these faults."""
    options = bench.arguments(["--quick", "--faults", ",".join(names)])
    found: list[dict[str, Any]] = []
    run_faults(Measuring(options, [], TARGETS, {}, {"id": 1}), list(names), disturb, found)
    return found


def test_a_fault_happens_to_each_proxy_under_load(sample: Callable[..., None]) -> None:
    done: list[tuple[str, str]] = []

    def disturb(fault: str, role: str) -> str:
        done.append((fault, role))
        return "done"

    reload, roll = stood("reload", "roll", disturb=disturb)
    assert done == [("reload", "nginx"), ("roll", "nginx")]  # the app alone has no other replica
    assert reload["passed"]
    assert roll["passed"]
    assert [text for _, text in roll["events"]] == ["the replicas reload in turn: begins", "done"]


@pytest.mark.parametrize(
    ("name", "errors", "series", "passed"),
    [
        ("reload", {"GET /users": 1}, WELL, False),
        ("roll", {"PATCH /users/ID": 1}, WELL, False),
        ("kill", {"PATCH /users/ID": 3, "POST /users": 1}, WELL, True),
        ("kill", {"GET /users": 1}, WELL, False),
        ("database", {"GET /users": 90}, [*WELL[:5], [5, 200, 90], *WELL[6:]], True),
        ("database", {"GET /users": 90}, [*WELL[:11], [11, 200, 90]], False),
        ("database", {"GET /users": 90}, [], False),
        ("database", {"GET /users": 90, "unanswered": 1}, WELL, False),
        ("database", {}, [*WELL[:11], [11, 0, 0]], False),
        ("kill", {"unanswered": 1}, WELL, False),
    ],
)
def test_whether_it_passes_depends_on_what_may_fail(
    sample: Callable[..., None], name: str, errors: dict[str, int], series: list[list[int]], passed: bool
) -> None:
    sample(errors, series)
    (one,) = stood(name)
    assert one["passed"] is passed
    assert sum(one["failed"].values()) == sum(errors.values())
    assert one["failed"].keys() == {kind.split()[0] for kind in errors}


def test_a_fault_that_could_not_be_done_does_not_pass(sample: Callable[..., None]) -> None:
    def broken(fault: str, role: str) -> str:
        raise OSError("no such signal")

    (one,) = stood("reload", disturb=broken)
    assert not one["passed"]
    assert one["problems"] == ["it could not be done: no such signal"]
    made = document(*three("direct", 100, 200)) | {"faults": [one]}
    assert verdicts.problems(made) == ["fault reload nginx: it could not be done: no such signal"]
    assert tables.faults(made).rows[0][-1] == "no request fails; it could not be done"


@pytest.mark.parametrize(
    ("takes_s", "tried", "passed"), [(5, [12], True), (20, [12, 24], True), (99, [12, 24, 48], False)]
)
def test_a_fault_has_to_be_over_while_there_is_load(
    sample: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    takes_s: float,
    tried: list[int],
    passed: bool,
) -> None:
    seen: list[int] = []
    now = time.time()

    def load(*args: Any, duration_s: int, **options: Any) -> Sample:
        seen.append(duration_s)
        return Sample(200.0, 2400, [[1, 1]], seconds=duration_s, series=WELL, began=now - takes_s, note="why")

    monkeypatch.setattr(tools, "run_locust", load)
    (one,) = stood("roll")
    assert (seen, one["passed"]) == (tried, passed)
    assert one["problems"] == ([] if passed else ["it was not over 2 s before the end of 48 s of load"])


@pytest.mark.usefixtures("sample")
def test_an_interrupted_fault_does_not_wait_for_its_load(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    class Ended(Spawner):
        def end(self, patience_s: float) -> None:
            ended.set()

    def load(*args: Any, **options: Any) -> Sample:
        return Sample(errors={} if ended.wait(60) else {"tool": 1})

    def interrupted(fault: str, role: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(tools, "run_locust", load)
    options = bench.arguments(["--quick"])
    with pytest.raises(KeyboardInterrupt):
        run_faults(Measuring(options, [], TARGETS, {}, {"id": 1}, spawner=Ended()), ["kill"], interrupted, [])
    assert ended.is_set()


def test_faults_are_for_proxies(
    stack: FakeStack, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    disturbed = running(stack, "app", disturb=lambda fault, role: "done")
    argv = ["--quick", "--faults", "kill", "--target", f"mine={stack.url}"]
    assert bench.main(argv, disturbed) == 1
    assert "--faults needs a proxy among the targets: caddy, nginx, apache" in capsys.readouterr().err


def test_without_load_nothing_was_shown(sample: Callable[..., None]) -> None:
    sample({}, [], requests=0)
    (one,) = stood("roll")
    assert not one["passed"]
    assert one["problems"] == ["there was no load: why"]


def test_the_report_has_verdicts_and_time_lines(sample: Callable[..., None]) -> None:
    made = document(*three("direct", 100, 200))
    made["faults"] = stood("roll")
    sample({"GET /users": 2})
    made["faults"] += stood("kill")
    killed = ("a replica is killed", "nginx", "FAILED", "2,400", "GET 2", FAULTS["kill"].rule)
    assert killed in tables.faults(made).rows
    assert "| the replicas reload in turn | nginx | passed |" in as_markdown(made)
    page = as_html(made)
    assert "1 of 2 faults were not stood." in page
    # The events are marked in each time line, and told in words.
    for fault in ("kill", "roll"):
        assert f"1: {FAULTS[fault].title}" in page


@pytest.mark.usefixtures("runs")
def test_a_fault_that_was_not_stood_is_a_failure(
    stack: FakeStack, sample: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--quick", "--scenarios", "plaintext", "--faults", "kill", "--output", str(tmp_path)]
    broken = running(stack, "app", "nginx", disturb=lambda fault, role: "killed")
    assert bench.main(argv, broken) == 0
    assert "fault kill, nginx: passed; failed requests: none" in capsys.readouterr().out
    assert document_in(tmp_path)["command"].count("--faults kill") == 1
    sample({"GET /users": 2})
    assert bench.main(argv, broken) == 1


def test_faults_need_a_stack_of_the_kit(stack: FakeStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--quick", "--faults", "kill"], running(stack, "app")) == 1
    assert "faults happen to a stack of ./kit or" in capsys.readouterr().err
    assert bench.main(["--faults", "fire"], nothing) == 2
    assert "no fault fire; there are: reload, roll, kill, database" in capsys.readouterr().err
