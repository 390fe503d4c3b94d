"""`./kit bench`: arguments, turns, refusals, the exit code and the report."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from loadtest import bench, results, tools
from loadtest.measuring import Measuring
from loadtest.progress import Progress
from loadtest.report import command, drawing, page
from loadtest.scenario import load_all
from loadtest.subject import Subject
from loadtest.targets import TargetError
from loadtest.tools import Sample
from tests.loadtest.fake import FakeStack

SCENARIOS = [one for one in load_all().values() if one.quick]
GOOD = Sample(1000.0, 1000, [[1000, 990], [2000, 10]], seconds=1.0, client_cpu=0.5, tasks=1000)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces both tools; lists what would have been run."""
    seen: list[str] = []

    def wrk(url: str, **options: Any) -> Sample:
        seen.append(url)
        return GOOD

    def locust(files: Sequence[Path], host: str, **options: Any) -> Sample:
        seen.append(host)
        return GOOD

    monkeypatch.setattr(tools, "run_wrk", wrk)
    monkeypatch.setattr(tools, "run_locust", locust)
    monkeypatch.setattr(tools, "missing", lambda tool: None)
    monkeypatch.setattr(tools, "version", lambda tool: f"{tool} 1")
    monkeypatch.setattr(drawing, "as_png", lambda plot: b"a picture")  # which would take long
    monkeypatch.setattr(page, "as_svg", lambda plot: "<svg></svg>")
    return seen


Opened = Callable[[], AbstractContextManager[Subject]]


def running(stack: FakeStack, *names: str, **more: Any) -> Opened:
    """The fake stack under these names, as one that runs."""
    urls = [stack.url.replace("127.0.0.1", host) for host in HOSTS]
    status = {name: {"url": url} for name, url in zip(names, urls, strict=False)}
    return lambda: nullcontext(Subject(status, **more))


def nothing() -> AbstractContextManager[Subject]:
    """No stack."""
    return nullcontext(Subject())


HOSTS = ("127.0.0.1", "localhost")  # two names for one server, to tell the targets apart


def document_in(folder: Path) -> dict[str, Any]:
    """The one report below a folder, which obeys the published schema."""
    [path] = folder.glob("bench-*/report.json")
    document: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(document, json.loads(results.SCHEMA.read_text()))
    return document


def test_targets_take_turns_and_each_round_another_begins(
    stack: FakeStack, runs: list[str], tmp_path: Path
) -> None:
    argv = ["--rounds", "2", "--scenarios", "plaintext,crud", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app", "caddy")) == 0
    direct, caddy = stack.url, stack.url.replace("127.0.0.1", "localhost")
    assert runs == [
        f"{direct}/", f"{caddy}/",  # warm-up
        f"{direct}/simple", f"{caddy}/simple", f"{direct}/", f"{caddy}/",
        f"{caddy}/simple", f"{direct}/simple", f"{caddy}/", f"{direct}/",
    ]  # fmt: skip


def test_the_table_is_printed_and_the_report_written(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--quick", "--output", str(tmp_path)], running(stack, "app", "caddy")) == 0
    output = capsys.readouterr().out
    assert "right answers from caddy" in output
    assert f"{len(SCENARIOS) * 2} measurements of 2 s, about " in output
    assert "] round 1: read caddy (wrk): 1,000 requests/s; 0:00 min left" in output
    document = document_in(tmp_path)
    assert document["complete"] is True
    assert document["provenance"]["versions"]["wrk"] == "wrk 1"
    assert len(document["results"]) == len(document["runs"]) == len(SCENARIOS) * 2
    assert document["command"].startswith("./kit bench --rounds 1 --duration 2 ")
    [written] = tmp_path.glob("bench-*/report.md")
    assert "| plaintext | caddy | - | 1,000 | 1.00 | 1.00 |" in written.read_text()
    assert str(written) in output


def test_a_sweep_measures_less_and_more_load(stack: FakeStack, runs: list[str], tmp_path: Path) -> None:
    argv = ["--quick", "--sweep", "--scenarios", "plaintext,crud", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app")) == 0
    points = [(one["scenario"], one["by"], one["at"]) for one in document_in(tmp_path)["sweeps"]]
    assert points == [
        *(("crud", "rate", value) for value in (50, 100, 200, 400)),
        *(("plaintext", "connections", value) for value in (1, 4, 16, 64, 256)),
    ]
    names = {path.stem for path in tmp_path.glob("bench-*/plots/*.png")}
    assert {"crud-rate", "plaintext-connections", "plaintext-value"} <= names


def test_a_ramp_is_of_users(stack: FakeStack, runs: list[str], tmp_path: Path) -> None:
    argv = ["--quick", "--ramp", "40", "--scenarios", "plaintext,crud", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app", "caddy")) == 0
    document = document_in(tmp_path)
    ramps = [(one["scenario"], one["target"], one["users"]) for one in document["ramps"]]
    assert ramps == [("crud", "direct", 40), ("crud", "caddy", 40)]  # wrk has connections, not users
    assert " --ramp 40 " in document["command"]


def test_a_report_is_made_again_without_measuring(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.main(["--quick", "--scenarios", "read", "--output", str(tmp_path)], running(stack, "app"))
    [written] = tmp_path.glob("bench-*/report.md")
    before = written.read_text()
    written.unlink()
    runs.clear()
    assert command.main([str(written.with_name("report.json"))]) == 0
    assert written.read_text() == before
    assert runs == []


def test_a_file_that_is_no_report_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.json"
    assert command.main([str(file)]) == 1
    file.write_text("{}")
    assert command.main([str(file)]) == 1
    said = capsys.readouterr().err
    assert "cannot read" in said
    assert "is no report of ./kit bench" in said


def test_a_run_with_errors_has_no_number_and_fails(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    wrong = Sample(9999, 50, [[1, 50]], {"status": 7}, seconds=1)
    monkeypatch.setattr(tools, "run_wrk", lambda url, **options: wrong)
    assert bench.main(["--quick", "--tool", "wrk", "--output", str(tmp_path)], running(stack, "app")) == 1
    output = capsys.readouterr().out
    assert "9,999" not in output
    assert "plaintext direct: errors: status 7" in output


def test_a_load_generator_at_its_limit_makes_a_run_invalid(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    busy = Sample(1000.0, 1000, [[1000, 1000]], seconds=1.0, client_cpu=0.97)
    monkeypatch.setattr(tools, "run_wrk", lambda url, **options: busy)
    argv = ["--quick", "--scenarios", "plaintext", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app")) == 1
    assert "the load generator used 97% of a core, more than 90%" in capsys.readouterr().out


def test_a_rate_that_was_not_reached_makes_a_run_invalid(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--quick", "--scenarios", "crud", "--rate", "2000", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app")) == 1
    assert "only 1000 of 2000 tasks a second were done" in capsys.readouterr().out


def test_what_is_due_is_a_task_however_many_requests_it_is(
    stack: FakeStack, runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = replace(GOOD, requests=2000, requests_per_s=2000.0, tasks=500)  # four requests for each
    monkeypatch.setattr(tools, "run_locust", lambda *args, **options: half)
    argv = ["--quick", "--scenarios", "crud", "--rate", "1000", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app")) == 1
    [one] = document_in(tmp_path)["runs"]
    assert one["problems"] == ["only 500 of 1000 tasks a second were done"]


def test_wrong_answers_stop_the_run_before_it_starts(
    stack: FakeStack, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stack.stale = True
    assert bench.main([], running(stack, "app")) == 1
    assert "numbers for wrong answers would mean nothing" in capsys.readouterr().err
    assert runs == []


def test_nothing_to_measure_says_how_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([], nothing) == 1
    assert "./kit up --detach" in capsys.readouterr().err


def test_a_missing_tool_is_named_and_the_other_one_runs(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tools, "missing", lambda tool: "not here" if tool == "wrk" else None)
    assert bench.main(["--quick", "--output", str(tmp_path)], running(stack, "app")) == 0
    assert runs == [stack.url + one.path for one in SCENARIOS if one.tool == "locust"]
    assert "without wrk: not here" in capsys.readouterr().err


def test_without_any_tool_there_is_nothing_to_run(
    stack: FakeStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "missing", lambda tool: "not here")
    assert bench.main([], running(stack, "app")) == 1
    assert "no load tool is installed" in capsys.readouterr().err


def test_an_interrupted_run_reports_what_it_has(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def interrupted(*args: Any, **options: Any) -> Sample:
        raise KeyboardInterrupt

    monkeypatch.setattr(tools, "run_locust", interrupted)
    argv = ["--quick", "--scenarios", "plaintext,crud", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app")) == 130
    output = capsys.readouterr().out
    assert "Interrupted; this is what was measured" in output
    assert "not run" in output
    document = document_in(tmp_path)
    assert document["complete"] is False
    assert document["runs"] == []
    assert stack.users == {}


def test_an_interruption_while_the_report_is_made_loses_nothing(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def interrupted(*args: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "show", interrupted)
    argv = ["--quick", "--scenarios", "plaintext", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app")) == 130
    document = document_in(tmp_path)
    assert (document["complete"], len(document["runs"])) == (True, 1)
    assert "report.json shows all" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_measured(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    assert bench.main(["--quick", "--output", str(occupied)], running(stack, "app")) == 1
    assert "choose a folder with --output" in capsys.readouterr().err
    assert runs == []


def test_each_round_meets_new_processes(stack: FakeStack, runs: list[str], tmp_path: Path) -> None:
    def renew() -> None:
        runs.append("renewed")

    argv = ["--rounds", "3", "--scenarios", "plaintext", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app", renew=renew)) == 0
    url = f"{stack.url}/"
    assert runs == [url, url, "renewed", url, url, "renewed", url, url]  # each time a warm-up, and a round
    assert document_in(tmp_path)["settings"]["renewed"] is True


def test_a_target_that_dies_between_rounds_has_no_number(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    refused = Sample(errors={"tool": 1}, note="unable to connect")

    def renew() -> None:
        monkeypatch.setattr(tools, "run_wrk", lambda url, **options: refused)
        raise TargetError("app-1 does not come back")

    argv = ["--rounds", "2", "--scenarios", "plaintext", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app", renew=renew)) == 1
    output = capsys.readouterr().out
    assert "before round 2: app-1 does not come back" in output
    assert "plaintext direct: errors: tool 1: unable to connect" in output
    assert document_in(tmp_path)["complete"] is True


def test_each_round_is_written_down_when_it_is_over(
    stack: FakeStack, runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(measuring: Measuring, turn: int) -> None:
        raise SystemExit(f"no mercy before round {turn}")

    monkeypatch.setattr(Measuring, "begin_again", killed)
    argv = ["--rounds", "3", "--scenarios", "plaintext", "--output", str(tmp_path)]
    with pytest.raises(SystemExit, match="before round 2"):
        bench.main(argv, running(stack, "app", "caddy"))
    document = document_in(tmp_path)
    assert document["complete"] is False
    assert [one["rounds"] for one in document["results"]] == [1, 1]


def test_a_run_that_cannot_go_on_reports_what_it_has(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def gone(measuring: Measuring, found: list[Any]) -> None:
        raise TargetError("the file of the scenario is gone")

    monkeypatch.setattr(Measuring, "ramps", gone)
    argv = ["--quick", "--scenarios", "plaintext", "--sweep", "--ramp", "2", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app")) == 1
    said = capsys.readouterr()
    assert "bench: the file of the scenario is gone; this is what was measured until then" in said.err
    assert "Interrupted: this is what had been measured" in said.out
    document = document_in(tmp_path)
    assert (document["complete"], len(document["runs"]), len(document["sweeps"])) == (False, 1, 5)
    assert list(tmp_path.glob("*/report.html"))


def test_each_part_is_written_down_when_it_is_over(
    stack: FakeStack, runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(measuring: Measuring, found: list[Any]) -> None:
        raise SystemExit("no mercy before the ramps")

    monkeypatch.setattr(Measuring, "ramps", killed)
    argv = ["--rounds", "2", "--scenarios", "plaintext", "--sweep", "--ramp", "2", "--output", str(tmp_path)]
    with pytest.raises(SystemExit):
        bench.main(argv, running(stack, "app"))
    document = document_in(tmp_path)
    assert (len(document["runs"]), len(document["sweeps"])) == (2, 5)


def test_the_time_that_is_left_is_that_of_all_parts(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--quick", "--scenarios", "plaintext", "--sweep", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app")) == 0
    output = capsys.readouterr().out
    assert "1 measurement of 2 s and 5 of a sweep, about 0:20 min in all" in output
    assert all(" left" in line for line in output.splitlines() if line.startswith("  ["))
    progress = Progress(100.0)
    progress.began -= 30.0
    progress.done(20.0)  # which took 30 s
    assert progress.left() == "2:00 min left"
    progress.done(80.0)
    assert progress.left() == "0:00 min left"


@pytest.fixture
def full_disk(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With the third measurement no file can become longer than nothing any more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def wrk(url: str, **options: Any) -> Sample:
        runs.append(url)
        if len(runs) == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        return GOOD

    monkeypatch.setattr(tools, "run_wrk", wrk)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("full_disk")
def test_on_a_full_disk_the_table_is_shown_and_earlier_rounds_stay(
    stack: FakeStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--rounds", "2", "--scenarios", "plaintext", "--output", str(tmp_path)]  # warm-up and two rounds
    assert bench.main(argv, running(stack, "app")) == 1
    said = capsys.readouterr()
    assert "plaintext  direct" in said.out
    assert "File too large" in said.err
    assert "choose a folder with --output" in said.err
    assert len(document_in(tmp_path)["runs"]) == 1
    assert not list(tmp_path.glob("*/*.part"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--rounds", "0"], "'0' is not a whole number from 1 to 20"),
        (["--duration", "1.5"], "'1.5' is not a whole number from 1 to 60"),
        (["--scenarios", "reed"], "no scenario reed; there are: crud, database, "),
        (["--scenarios", "plaintext", "--tool", "locust"], "none of these scenarios is for locust"),
        (["--fast"], "unrecognized arguments: --fast"),
        (["--compose", "--pool", "4"], "cannot reach the containers' database"),
        (["--compose", "--peers", "uvicorn"], "leave --compose out"),
    ],
)
def test_bad_arguments_are_named(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(argv, nothing) == 2
    assert message in capsys.readouterr().err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--help"], nothing) == 0
    assert "--quick" in capsys.readouterr().out
