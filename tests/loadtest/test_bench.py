"""`./kit bench`: arguments, turns, refusals, the exit code and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest import bench, tools
from loadtest.tools import Sample
from tests.loadtest.fake import FakeStack

GOOD = Sample(1000.0, 1.0, 2.0, 1000)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces both tools; lists what would have been run."""
    seen: list[str] = []

    def wrk(url: str, **options: Any) -> Sample:
        seen.append(url)
        return GOOD

    def locust(file: Path, host: str, **options: Any) -> Sample:
        seen.append(host)
        return GOOD

    monkeypatch.setattr(tools, "run_wrk", wrk)
    monkeypatch.setattr(tools, "run_locust", locust)
    monkeypatch.setattr(tools, "missing", lambda tool: None)
    monkeypatch.setattr(tools, "version", lambda tool: f"{tool} 1")
    return seen


def status(stack: FakeStack, *names: str) -> dict[str, dict[str, Any]]:
    return {
        name: {"url": stack.url.replace("127.0.0.1", host)} for name, host in zip(names, HOSTS, strict=False)
    }


HOSTS = ("127.0.0.1", "localhost")  # two names for one server, to tell the targets apart


def test_targets_take_turns_and_each_round_another_begins(
    stack: FakeStack, runs: list[str], tmp_path: Path
) -> None:
    argv = ["--rounds", "2", "--scenarios", "index,simple", "--output", str(tmp_path)]
    assert bench.main(argv, status(stack, "app", "caddy")) == 0
    direct, caddy = stack.url, stack.url.replace("127.0.0.1", "localhost")
    assert runs == [
        f"{direct}/", f"{caddy}/", f"{direct}/simple", f"{caddy}/simple",
        f"{caddy}/", f"{direct}/", f"{caddy}/simple", f"{direct}/simple",
    ]  # fmt: skip


def test_the_table_is_printed_and_the_report_written(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--quick", "--output", str(tmp_path)], status(stack, "app", "caddy")) == 0
    output = capsys.readouterr().out
    assert "right answers from caddy" in output
    assert "8 measurements of 2 s" in output
    assert "requests/s (min-max)" in output
    [path] = tmp_path.glob("bench-*.json")
    document = json.loads(path.read_text())
    assert document["complete"] is True
    assert document["versions"]["wrk"] == "wrk 1"
    assert len(document["results"]) == 8
    assert str(path) in output


def test_a_run_with_errors_has_no_number_and_fails(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tools, "run_wrk", lambda url, **options: Sample(9999, 1, 1, 50, {"status": 7}))
    assert bench.main(["--quick", "--tool", "wrk", "--output", str(tmp_path)], status(stack, "app")) == 1
    output = capsys.readouterr().out
    assert "9,999" not in output
    assert "index direct: status 7" in output


def test_wrong_answers_stop_the_run_before_it_starts(
    stack: FakeStack, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stack.stale = True
    assert bench.main([], status(stack, "app")) == 1
    assert "not the right 200; numbers for wrong answers would mean nothing" in capsys.readouterr().err
    assert runs == []


def test_nothing_to_measure_says_how_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([], {}) == 1
    assert "./kit up --detach" in capsys.readouterr().err


def test_a_missing_tool_is_named_and_the_other_one_runs(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(tools, "missing", lambda tool: "not here" if tool == "wrk" else None)
    assert bench.main(["--quick", "--output", str(tmp_path)], status(stack, "app")) == 0
    assert runs == [stack.url + "/simple", stack.url + "/database"]
    assert "without wrk: not here" in capsys.readouterr().err


def test_without_any_tool_there_is_nothing_to_run(
    stack: FakeStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "missing", lambda tool: "not here")
    assert bench.main([], status(stack, "app")) == 1
    assert "no load tool is installed" in capsys.readouterr().err


def test_an_interrupted_run_reports_what_it_has(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def interrupted(*args: Any, **options: Any) -> Sample:
        raise KeyboardInterrupt

    monkeypatch.setattr(tools, "run_locust", interrupted)
    argv = ["--quick", "--scenarios", "index,simple", "--output", str(tmp_path)]
    assert bench.main(argv, status(stack, "app")) == 130
    output = capsys.readouterr().out
    assert "1,000" in output
    assert "not run" in output
    [path] = tmp_path.glob("bench-*.json")
    assert json.loads(path.read_text())["complete"] is False
    assert stack.users == {}


def test_a_report_that_cannot_be_written_fails_after_the_table(
    stack: FakeStack, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    assert bench.main(["--quick", "--output", str(occupied)], status(stack, "app")) == 1
    said = capsys.readouterr()
    assert "1,000" in said.out
    assert "choose a folder with --output" in said.err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--rounds", "0"], "'0' is not a whole number from 1 to 20"),
        (["--duration", "1.5"], "'1.5' is not a whole number from 1 to 60"),
        (["--scenarios", "reed"], "no scenario reed; there are: index, read, simple, database"),
        (["--scenarios", "index", "--tool", "locust"], "none of these scenarios is for locust"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_bad_arguments_are_named(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(argv, {}) == 2
    assert message in capsys.readouterr().err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--help"], {}) == 0
    assert "--quick" in capsys.readouterr().out
