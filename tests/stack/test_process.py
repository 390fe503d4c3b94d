"""Processes: started apart from us, known again, and ended without hitting strangers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.errors import KitError
from stack.process import Process, describe_exit, find, identity, start
from tests.kit import eventually

SLEEP = (sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()")
FAMILY = (
    sys.executable,
    "-c",
    "import os, signal; os.fork(); print(os.getpid(), flush=True); signal.pause()",
)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Process]:
    process = start(SLEEP, env=os.environ, log=tmp_path / "log", cwd=tmp_path)
    eventually(lambda: "up" in (tmp_path / "log").read_text(), "it runs")
    yield process
    process.kill()


def test_it_has_a_session_of_its_own_and_a_log(started: Process, tmp_path: Path) -> None:
    assert started.alive()
    assert os.getsid(started.pid) == started.pid
    assert (tmp_path / "log").read_text() == "up\n"


def test_the_log_of_the_run_before_is_kept(started: Process, tmp_path: Path) -> None:
    again = start(SLEEP, env=os.environ, log=tmp_path / "log", cwd=tmp_path)
    assert (tmp_path / "log.1").read_text() == "up\n"
    again.kill()


def test_its_end_is_seen_with_the_reason(started: Process) -> None:
    assert started.status() is None
    assert started.signal(signal.SIGTERM)
    eventually(lambda: not started.alive(), "it ends")
    status = started.status()
    assert status is not None
    assert describe_exit(status) == "killed by SIGTERM"
    assert started.gone()
    assert not started.signal(signal.SIGTERM)


def test_an_exit_code_is_told(tmp_path: Path) -> None:
    process = start((sys.executable, "-c", "exit(3)"), env={}, log=tmp_path / "log", cwd=tmp_path)
    eventually(lambda: not process.alive(), "it ends")
    assert describe_exit(process.status() or 0) == "exit code 3"


def test_it_is_known_again_from_its_record(started: Process) -> None:
    again = find(started.as_json())
    assert again == started
    assert again.alive()


@pytest.mark.parametrize(
    "record", [{}, {"pid": "1", "identity": "", "program": ""}, {"pid": 1, "identity": "x", "program": ""}]
)
def test_a_record_of_something_else_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(KitError, match="not a record of a process"):
        find(record)


def test_a_stranger_with_the_same_number_is_left_alone() -> None:
    with subprocess.Popen(SLEEP, stdout=subprocess.PIPE, start_new_session=True) as stranger:
        assert stranger.stdout is not None
        stranger.stdout.readline()
        stale = Process(stranger.pid, "boot/123", str(Path(sys.executable).resolve()))
        assert not stale.alive()
        assert stale.gone()
        assert not stale.signal(signal.SIGKILL)
        stale.kill()
        assert stranger.poll() is None
        stranger.kill()


def test_children_that_outlive_it_are_found_and_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start(FAMILY, env=os.environ, log=log, cwd=tmp_path)
    eventually(lambda: len(log.read_text().split()) == 2, "both run")
    [child] = {int(word) for word in log.read_text().split()} - {process.pid}
    assert sorted(process.members()) == sorted([process.pid, child])
    process.signal(signal.SIGKILL)
    eventually(lambda: not process.alive(), "the parent ends")
    assert not process.gone()
    process.kill()
    eventually(process.gone, "the child ends")
    assert identity(child) is None


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="cannot start /nowhere/nginx: No such file"):
        start(("/nowhere/nginx",), env={}, log=tmp_path / "log", cwd=tmp_path)


def test_without_proc_ps_is_asked(monkeypatch: pytest.MonkeyPatch, started: Process) -> None:
    monkeypatch.setattr("stack.process.HAS_PROC", False)
    who = identity(started.pid)
    assert who is not None
    assert "signal.pause" in who
    assert identity(2**22) is None
    same = Process(started.pid, who, "")
    assert same.alive()
    assert same.members() == [started.pid]
    same.kill()
    eventually(same.gone, "it ends")
