"""The supervisor's small parts: channel, reactor, pid file, watcher, facts about processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pierhead.board import Board, Cell
from pierhead.config import Settings
from pierhead.errors import ConfigError
from pierhead.supervisor import process
from pierhead.supervisor.account import drop_privileges
from pierhead.supervisor.backoff import Backoff
from pierhead.supervisor.channel import Channel
from pierhead.supervisor.pidfile import PidFile, PidFileError
from pierhead.supervisor.reactor import Reactor
from pierhead.supervisor.vigil import Vigil
from pierhead.supervisor.watch import Watcher


def test_a_channel_carries_messages_both_ways_and_shows_its_end() -> None:
    one, other = Channel.pair()
    one.send(ready=True, files=["a" * 10_000])
    one.send(more=1)
    other.send(retire=False)
    assert one.receive_one() == {"retire": False}
    messages: list[object] = []
    while len(messages) < 2:
        messages += other.receive() or []
    assert messages == [{"ready": True, "files": ["a" * 10_000]}, {"more": 1}]
    one.close()
    assert other.receive() is None
    assert other.receive_one() is None
    other.send(nobody="hears")  # is no error
    other.close()


def test_descriptors_come_with_their_messages_in_order() -> None:
    one, other = Channel.pair()
    for word in ("first", "second"):
        reader, writer = os.pipe()
        os.write(writer, word.encode())
        one.send(reader, text=word)
        os.close(reader)
        os.close(writer)
    for word in ("first", "second"):
        assert other.receive_one() == {"text": word}
        with open(other.take_file(), "rb") as file:  # noqa: PTH123 - a descriptor
            assert file.read() == word.encode()
    one.close()
    other.close()


def test_what_comes_with_the_first_message_of_a_channel_is_not_lost() -> None:
    one, other = Channel.pair()
    one.send(settings={})
    one.send(workers=3)
    assert other.receive_one() == {"settings": {}}
    assert other.waiting
    assert other.receive() == [{"workers": 3}]
    one.close()
    other.close()


def test_a_reactor_reports_signals_and_channels_in_time() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    reactor = Reactor([signal.SIGUSR1])
    one, other = Channel.pair()
    try:
        assert reactor.wait(0.0) == ([], [])
        os.kill(os.getpid(), signal.SIGUSR1)
        assert reactor.wait(60.0) == ([signal.SIGUSR1], [])
        reactor.add(one)
        other.send(x=1)
        assert reactor.wait(60.0) == ([], [one])
        reactor.remove(one)
        reactor.remove(one)
        assert reactor.wait(0.0) == ([], [])
    finally:
        reactor.close()
        one.close()
        other.close()
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_pid_file_belongs_to_the_process_that_runs(tmp_path: Path) -> None:
    path = tmp_path / "pierhead.pid"
    path.write_text("99999999\n")  # a crash left it behind
    first = PidFile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    with pytest.raises(PidFileError, match=f"held by process {os.getpid()}"):
        PidFile(str(path))
    first.remove()
    assert not path.exists()
    with pytest.raises(PidFileError, match="cannot write"):
        PidFile(str(tmp_path / "nowhere" / "pierhead.pid"))


def test_a_watcher_notices_what_changes_comes_and_goes(tmp_path: Path) -> None:
    source = tmp_path / "app.py"
    source.write_text("one")
    elsewhere = tmp_path.parent / f"{tmp_path.name}.toml"
    elsewhere.write_text("a")
    watcher = Watcher([str(tmp_path)])
    watcher.watch([str(elsewhere)])
    assert watcher.changed() is None
    source.write_text("another")
    assert watcher.changed() == source
    assert watcher.changed() is None
    (tmp_path / "new.py").write_text("")
    assert watcher.changed() == tmp_path / "new.py"
    (tmp_path / "notes.txt").write_text("")
    assert watcher.changed() is None
    elsewhere.unlink()
    assert watcher.changed() == elsewhere


def test_a_watcher_overlooks_no_change_while_it_learns_of_more_files(tmp_path: Path) -> None:
    source = tmp_path / "app.py"
    source.write_text("one")
    watcher = Watcher([str(tmp_path)])
    source.write_text("another")
    watcher.watch([str(source), str(tmp_path / "late.py")])
    assert watcher.changed() == source


def test_a_watcher_leaves_hidden_folders_alone_but_may_be_in_one(tmp_path: Path) -> None:
    project = tmp_path / ".work" / "project"
    (project / ".venv").mkdir(parents=True)
    watcher = Watcher([str(project)])
    (project / ".venv" / "module.py").write_text("")
    assert watcher.changed() is None
    (project / "app.py").write_text("")
    assert watcher.changed() == project / "app.py"


@pytest.mark.parametrize("folder", ["env", "node_modules", "__pycache__"])
def test_a_watcher_does_not_look_at_what_others_have_installed(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder / "lib").mkdir(parents=True)
    if folder == "env":
        (tmp_path / folder / "pyvenv.cfg").touch()
    watcher = Watcher([str(tmp_path)])
    (tmp_path / folder / "lib" / "theirs.py").touch()
    assert watcher.changed() is None
    (tmp_path / "ours.py").touch()
    assert watcher.changed() == tmp_path / "ours.py"


def test_a_watcher_is_not_disturbed_by_folders_that_go_while_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "going" / "below").mkdir(parents=True)
    (tmp_path / "staying.py").touch()
    watcher = Watcher([str(tmp_path)])
    scandir = os.scandir

    def going(path: str) -> Any:
        if str(path).endswith("going"):
            shutil.rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", going)
    assert watcher.changed() is None
    assert not (tmp_path / "going").exists()


def test_an_end_is_described() -> None:
    for code, text in [("exit 7", "exited with code 7"), ("kill -9 $$", "was killed by SIGKILL")]:
        child = subprocess.Popen(["sh", "-c", code])
        _, status = os.waitpid(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert process.describe_exit(status) == text


def test_all_children_that_ended_are_reaped() -> None:
    code = (
        "import os, time\n"
        "from pierhead.supervisor.process import reap\n"
        "pids = {os.fork() or os._exit(3) for _ in range(3)}\n"
        "seen = set()\n"
        "while len(seen) < 3: seen |= {pid for pid, _ in reap()}\n"
        "assert seen == pids and list(reap()) == []\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_there_is_at_least_one_core() -> None:
    assert 1 <= process.available_cores() <= (os.cpu_count() or 1)


def test_an_unknown_user_is_an_error() -> None:
    with pytest.raises(ConfigError, match="user = 'nobody-has-this-name': this system has no such user"):
        drop_privileges(Settings(user="nobody-has-this-name"))
    with pytest.raises(ConfigError, match="group = 'nobody-has-this-name': this system has no such group"):
        drop_privileges(Settings(group="nobody-has-this-name"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_becomes_the_user_it_is_told() -> None:
    code = (
        "import os\n"
        "from pierhead.config import Settings\n"
        "from pierhead.errors import ConfigError\n"
        "from pierhead.supervisor.account import drop_privileges\n"
        "try:\n"
        "    drop_privileges(Settings(user='nobody', umask=0o077))\n"
        "except ConfigError as error:\n"  # where this Python is in root's own folders
        "    assert 'it may not read' in str(error), error\n"
        "assert os.getuid() != 0 and os.getgid() != 0 and os.umask(0) == 0o077\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_backoff_excuses_some_failures_and_then_takes_longer_each_time() -> None:
    backoff = Backoff(free=2)
    assert [backoff.failed(now) for now in (1.0, 2.0, 3.0, 4.0, 6.0)] == [0.0, 0.0, 1.0, 2.0, 4.0]
    assert backoff.failed(1000.0) == 0.0, "long ago"
    backoff = Backoff()
    assert [backoff.failed(0.0) for _ in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    backoff.recovered()
    assert backoff.failed(0.0) == 1.0


def test_a_watcher_that_was_late_itself_gives_everybody_another_chance() -> None:
    row = Board().row(1, 1)
    vigil = Vigil(Settings(hang_timeout_s=1.0), interval_s=0.1)
    row.cells[Cell.BEAT_NS] = time.monotonic_ns() - 5_000_000_000
    assert "blocked for 5.0 s" in vigil.hangs(os.getpid(), row)
    vigil._now_ns -= 2_000_000_000  # as if it had looked last two seconds ago
    vigil.look()
    assert vigil.hangs(os.getpid(), row) == ""


def test_a_worker_is_due_at_its_limits_and_not_before() -> None:
    row = Board().row(1, 1)
    row.cells[Cell.BORN_NS] = time.monotonic_ns()
    vigil = Vigil(Settings(max_requests=100, max_worker_age_s=50, max_worker_memory_bytes=1 << 40))
    row.cells[Cell.WORK] = 109
    assert vigil.is_due(os.getpid(), row, jitter=1.0) == ""
    assert "109 requests (max_requests)" in vigil.is_due(os.getpid(), row, jitter=0.5)
    row.cells[Cell.WORK] = 0
    row.cells[Cell.BORN_NS] -= 52_000_000_000
    assert vigil.is_due(os.getpid(), row, jitter=1.0) == ""
    assert "52 s old (max_worker_age_s)" in vigil.is_due(os.getpid(), row, jitter=0.0)
    greedy = Vigil(Settings(max_worker_memory_bytes=1 << 20))
    assert "of memory (max_worker_memory_bytes)" in greedy.is_due(os.getpid(), row, jitter=0.0)
