"""The control socket and its commands; scaling by signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pierhead.supervisor.control import AUTO, Control, ControlError, ask, find
from tests.supervisor.harness import APP, Load, Pierhead, eventually


def pierhead(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pierhead", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_status_shows_workers_and_what_happened(tmp_path: Path) -> None:
    control = ("--control-socket", str(tmp_path / "control"))
    with Pierhead(tmp_path, *control) as server:
        with Load(server).running():
            pass
        victim = server.workers().pop()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(server.workers() - {victim}) == 2, "a replacement")
        eventually(lambda: status(tmp_path)["generations"][0]["workers"][1]["state"] == "serving", "ready")
        found = status(tmp_path)
        assert found["state"] == "serving"
        assert found["listen"] == [f"http://127.0.0.1:{server.port}"]
        (generation,) = found["generations"]
        assert {worker["pid"] for worker in generation["workers"]} == server.workers()
        assert all(worker["memory_bytes"] > 1 << 20 for worker in generation["workers"])
        assert any(f"worker {victim} was killed by SIGKILL" in event["what"] for event in found["events"])
        text = pierhead(tmp_path, "top", "--count", "1", *control).stdout
        assert f"[{server.workers().pop()}]" in text
        assert (tmp_path / "control").stat().st_mode & 0o777 == 0o600
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert not (tmp_path / "control").exists()
    gone = pierhead(tmp_path, "status", *control)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert f"nobody answers at {tmp_path}/control" in gone.stderr


def status(folder: Path) -> dict[str, Any]:
    answer = pierhead(folder, "status", "--json", "--control-socket", f"{folder}/control")
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_reload_waits_for_the_new_code_and_says_whether_it_serves(tmp_path: Path) -> None:
    control = ("--control-socket", str(tmp_path / "control"))
    with Pierhead(tmp_path, *control) as server:
        server.write(APP, one="two")
        done = pierhead(tmp_path, "reload", *control)
        assert (done.returncode, done.stdout) == (0, "generation 2 serves\n")
        assert b'"two"' in server.get()[1]
        server.write("raise RuntimeError('broken')\n")
        failed = pierhead(tmp_path, "reload", *control)
        assert failed.returncode == 1
        assert "the new code did not start" in failed.stderr
        assert b'"two"' in server.get()[1]


def test_workers_are_added_and_taken_away_by_signals(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        with Load(server).running() as load:
            server.signal(signal.SIGTTIN)
            eventually(lambda: len(server.workers()) == 3, "one more")
            server.wait_for_log("3 workers from now on")
            server.signal(signal.SIGTTOU)
            server.wait_for_log("2 workers from now on")
            server.signal(signal.SIGTTOU)
            server.wait_for_log("1 worker from now on")
            server.signal(signal.SIGTTOU)  # is not obeyed
            eventually(lambda: len(server.workers()) == 1, "one is left")
            load.more()
            server.signal(signal.SIGHUP)
            server.wait_for_log("generation 2 serves")
            eventually(lambda: len(server.note_processes()) == 2, "a reload keeps the number")
        assert load.failed == []


def test_a_socket_is_found_by_its_user_and_left_behind_ones_are_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(ControlError, match="no server of this user runs here"):
        find()
    folder = tmp_path / f"pierhead-{os.getuid()}"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "1.sock"))
    control = Control(AUTO)
    try:
        assert find() == control.path
        assert sorted(folder.glob("*.sock")) == [control.path]
        (folder / "other.sock").symlink_to(control.path)
        with pytest.raises(ControlError, match="several servers run here"):
            find()
    finally:
        control.close()
    with pytest.raises(ControlError, match="nobody answers"):
        ask(control.path, 1.0, command="status")
    folder.chmod(0o755)
    with pytest.raises(ControlError, match="not a folder of this user alone"):
        Control(AUTO)
