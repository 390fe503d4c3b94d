"""SIGUSR2: the program is replaced in its process, with its sockets and generations."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

import pierhead
from tests.supervisor.harness import APP, Load, Pierhead, alive, eventually


def test_an_upgrade_under_load_loses_nothing_and_takes_up_new_settings(tmp_path: Path) -> None:
    settings, pid_file, unix = tmp_path / "pierhead.toml", tmp_path / "pid", tmp_path / "app.sock"
    settings.write_text('server_header = "before"\n')
    options = ["--pid-file", str(pid_file), "--listen", f"http://unix:{unix}"]
    with Pierhead(tmp_path, *options) as server:
        old = server.workers()
        with Load(server).running() as load:
            settings.write_text('server_header = "after"\n')
            server.write(APP, one="two")
            server.signal(signal.SIGTTIN)
            server.wait_for_log("3 workers from now on")
            server.signal(signal.SIGUSR2)
            server.wait_for_log("upgraded; the new program starts generation 2")
            server.wait_for_log("generation 2 serves")
            load.more()
            eventually(lambda: not any(map(alive, old)), "the old workers leave")
            eventually(lambda: len(server.workers()) == 3, "as many workers as before")
        assert load.failed == []
        assert b'"two"' in load.bodies[-1]
        assert pid_file.read_text() == f"{server.process.pid}\n"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(unix))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"Server: after" in client.recv(65536)
        server.signal(signal.SIGUSR2)  # and again
        server.wait_for_log("generation 3 serves")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert not pid_file.exists()
        assert not unix.exists()


def test_an_upgrade_to_settings_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    settings = tmp_path / "pierhead.toml"
    with Pierhead(tmp_path) as server:
        workers = server.workers()
        settings.write_text("there is no = such thing\n")
        with Load(server).running() as load:
            server.signal(signal.SIGUSR2)
            server.wait_for_log("upgrade failed: the new program ended with code 2; this program goes on")
            load.more()
        assert load.failed == []
        assert "is no valid TOML" in server.log
        assert server.workers() == workers


def test_an_upgrade_to_code_that_does_not_start_leaves_the_old_code_serving(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        workers = server.workers()
        server.write("import nonsense_that_is_missing\n")
        with Load(server).running() as load:
            server.signal(signal.SIGUSR2)
            server.wait_for_log("reload failed; the code from before goes on serving")
            load.more()
        assert load.failed == []
        assert server.workers() == workers
        victim = workers.pop()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(server.workers() - {victim}) == 2, "the old generation still replaces workers")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_reload_onto_another_version_of_the_server_asks_for_an_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "installed" / "pierhead"
    shutil.copytree(Path(pierhead.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    with Pierhead(tmp_path) as server:
        workers = server.workers()
        board = package / "board.py"
        board.write_text(board.read_text().replace("BLOCKS = 64\n", "BLOCKS = 128\n"))
        server.signal(signal.SIGHUP)
        server.wait_for_log(f"let it upgrade itself with kill -USR2 {server.process.pid}")
        assert server.workers() == workers
        server.signal(signal.SIGUSR2)
        server.wait_for_log("generation 3 serves")
        assert server.get()[0] == 200
