"""test, lock, bench: what they run, and with which exit code they end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from loadtest.subject import Subject
from stack import bench, checks, locks
from stack.errors import KitError
from stack.process import Process, identity, program
from stack.state import ROOT, Record, Run, State


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were to be run; none is, and each succeeds unless a word of it is in FAIL."""
    commands: list[list[str]] = []

    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(list(command))
        return subprocess.CompletedProcess(command, int(os.environ.get("FAIL", "nothing") in command))

    def execute(_program: str, command: Sequence[str]) -> None:
        commands.append(list(command))
        raise SystemExit(5)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "execv", execute)
    monkeypatch.setattr(os, "chdir", lambda path: None)
    return commands


def test_everything_is_checked_and_pytest_comes_last(
    ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        checks.test([])
    assert end.value.code == 5  # pytest's own
    steps = [command[2:4] for command in ran]
    assert steps[:2] == [["ruff", "format"], ["ruff", "check"]]
    # Side by side, so in any order: the types, and what has to be covered in full.
    assert sorted(steps[2:4]) == [["mypy", "--no-error-summary"], ["pytest", "-q"]]
    assert steps[4][0] == "pytest"
    covered = next(command for command in ran if "--cov-fail-under=100" in command)
    assert set(checks.COVERED) <= set(covered)
    assert {f"--ignore={folder}" for folder in checks.COVERED} <= set(ran[-1])
    assert any(word.startswith("--numprocesses=") for word in ran[-1])
    told = capsys.readouterr().out
    assert all(f"$ {' '.join(command[2:])}\n" in told for command in ran)


def test_arguments_go_to_pytest_alone(ran: list[list[str]]) -> None:
    with pytest.raises(SystemExit):
        checks.test(["tests/stack", "-k", "ports"])
    assert ran == [[sys.executable, "-m", "pytest", "tests/stack", "-k", "ports"]]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("format", "to repair: .* -m ruff format"),
        ("check", "ruff check --fix"),
        ("mypy", "the rest was not run"),
        ("--cov-branch", "the rest was not run"),
    ],
)
def test_what_fails_first_ends_it(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, word: str, message: str
) -> None:
    monkeypatch.setenv("FAIL", word)
    with pytest.raises(KitError, match=message):
        checks.test([])
    assert any(word in command for command in ran)
    assert not any(f"--ignore={checks.COVERED[0]}" in command for command in ran)


def test_every_lock_is_compiled_with_hashes_and_the_servers_versions_bind(ran: list[list[str]]) -> None:
    assert locks.lock(["--upgrade"]) == 0
    outputs = [command[command.index("--output-file") + 1] for command in ran]
    assert outputs[0] == "locks/server.txt"
    assert sorted(outputs) == sorted(f"locks/{path.name}" for path in (ROOT / "locks").iterdir())
    for command in ran:
        assert {"--generate-hashes", "--no-emit-index-url", "--universal", "--upgrade"} <= set(command)
    assert all("locks/server.txt" in command[command.index("--constraints") :] for command in ran[1:])


def test_a_lock_that_cannot_be_compiled_ends_it(
    ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "locks/server.txt")
    with pytest.raises(KitError, match=r"uv could not make locks/server.txt"):
        locks.lock([])
    assert len(ran) == 1


# --- bench


class LoadTest:
    """Stands in for loadtest.bench and for the stack's commands, and notes the order of the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[Any] = []
        self.error: BaseException | None = None
        self.subject: Any = None  # with which the benchmark was run
        module = type("module", (), {"main": self.main})
        monkeypatch.setattr("importlib.import_module", lambda name: module)
        monkeypatch.setattr(bench, "up", self.up)
        monkeypatch.setattr(bench, "down", self.down)
        monkeypatch.setattr(bench, "status", lambda run: {"app": {"url": "http://127.0.0.1:1"}})

    def main(self, argv: Sequence[str], opened: Any = None) -> int:
        if opened is None or "--help" in argv:
            self.calls.append(("main", list(argv)))
            return 7
        with opened() as self.subject:
            self.calls.append(("main", list(argv)))
            if self.error:
                raise self.error
        return 7

    def up(self, *_: object, detach: bool) -> int:
        self.calls.append("up")
        return 0

    def down(self, _state: State, *, delete_data: bool) -> None:
        assert not delete_data
        self.calls.append("down")


@pytest.fixture
def loadtest(monkeypatch: pytest.MonkeyPatch) -> LoadTest:
    return LoadTest(monkeypatch)


def test_a_benchmark_starts_and_stops_the_stack(loadtest: LoadTest, tmp_path: Path) -> None:
    assert bench.bench(State(tmp_path), ["--quick"]) == 7
    assert loadtest.calls == ["up", ("main", ["--quick"]), "down"]
    assert loadtest.subject == Subject({"app": {"url": "http://127.0.0.1:1"}})


def test_the_stack_is_stopped_after_a_failure_too(loadtest: LoadTest, tmp_path: Path) -> None:
    loadtest.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench.bench(State(tmp_path), [])
    assert loadtest.calls[-1] == "down"


def test_the_applications_environment_goes_to_the_benchmark(loadtest: LoadTest, tmp_path: Path) -> None:
    me = Process(os.getpid(), identity(os.getpid()) or "", program(os.getpid()))
    record = Record("db", "db", "postgresql://127.0.0.1:1/x", "PostgreSQL", "", me, ["true"], "SIGTERM")
    state = State(tmp_path)
    state.save(Run(None, "now", [record]))
    assert bench.bench(state, ["--quick"]) == 7
    assert loadtest.calls == [("main", ["--quick"])]
    assert loadtest.subject.environment["DATABASE_URL"] == record.url
    assert loadtest.subject.environment["DATABASE_PASSWORD_FILE"] == str(state.secret("app"))


def test_peers_need_no_stack(loadtest: LoadTest) -> None:
    assert bench.peers(["--quick"]) == 7
    assert loadtest.calls == [("main", ["--quick"])]


def test_reports_are_compared_without_a_stack(loadtest: LoadTest) -> None:
    assert bench.compare(["a.json", "b.json"]) == 7
    assert loadtest.calls == [("main", ["a.json", "b.json"])]


def test_reports_are_made_again_without_a_stack(loadtest: LoadTest) -> None:
    assert bench.report(["a.json"]) == 7
    assert loadtest.calls == [("main", ["a.json"])]


def test_its_help_needs_no_stack(loadtest: LoadTest, tmp_path: Path) -> None:
    assert bench.bench(State(tmp_path), ["--help"]) == 7
    assert loadtest.calls == [("main", ["--help"])]
