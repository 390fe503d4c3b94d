"""The control socket and its commands; scaling by signals."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pierhead.supervisor.control import AUTO, Control, ControlError, ask, find
from tests.supervisor.harness import APP, Load, Pierhead, eventually, parent_of


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


def test_many_may_ask_at_once(tmp_path: Path) -> None:
    path = tmp_path / "control"
    control = Control(str(path))
    held = []  # nobody lets them in, until the queue is full
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        held.append(client)
        if client.connect_ex(str(path)):
            break
    assert len(held) > 100
    with pytest.raises(ControlError, match="nobody answers"):
        ask(path, 0.1, command="status")
    asking = threading.Thread(target=ask, args=(path, 60.0), kwargs={"command": "status"})
    asking.start()
    while asking.is_alive():
        if (channel := control.accept()) is not None:
            channel.send(state="serving")
            channel.close()
    asking.join()
    for client in held:
        client.close()
    control.close()


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


def test_a_reload_that_is_asked_for_during_another_waits_for_its_own_code(tmp_path: Path) -> None:
    control = tmp_path / "control"
    waits = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n" + APP
    with Pierhead(tmp_path, "--control-socket", str(control)) as server:
        answers: dict[str, dict[str, Any]] = {}

        def reload(name: str) -> None:
            answers[name] = ask(control, 60.0, command="reload")

        server.write(waits, one="two")
        first = threading.Thread(target=reload, args=("first",))
        first.start()
        server.wait_for_log("reloading: on request")
        server.write(waits, one="three")
        second = threading.Thread(target=reload, args=("second",))
        second.start()
        eventually(lambda: len(clients_of(server.process.pid, control)) == 2, "both are heard")
        ask(control, 60.0, command="status")  # what came before it is heard
        server.let_go()
        first.join(60)
        second.join(60)
        assert answers == {"first": {"reloaded": 2}, "second": {"reloaded": 3}}
        assert b'"three"' in server.get()[1]


def clients_of(pid: int, control: Path) -> list[str]:
    """Return the connections to a unix socket of which a process has the other end."""
    inodes = {
        line.split()[6]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if line.endswith(str(control)) and line.split()[5] == "03"
    }
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(link.readlink()))
    return [link for link in links if link.removeprefix("socket:[").rstrip("]") in inodes]


def test_who_waits_for_a_reload_is_told_why_there_is_none(tmp_path: Path) -> None:
    control = tmp_path / "control"
    with Pierhead(tmp_path, "--control-socket", str(control)) as server:
        server.write("raise RuntimeError('no such module')\n")
        told = ask(control, 60.0, command="reload")["failed"]
        assert told.startswith("the new code did not start (app:app: its import failed in ")
        assert told.endswith("RuntimeError: no such module); the code from before goes on serving")
        server.write("import time\ntime.sleep(600)\n")
        answers: list[dict[str, Any]] = []
        client = threading.Thread(target=lambda: answers.append(ask(control, 60.0, command="reload")))
        client.start()
        server.wait_for_log("reloading: on request", 2)
        server.signal(signal.SIGTERM)
        client.join(60)
        assert answers == [{"failed": "the server is stopping"}]
        assert server.wait() == 0


def test_what_is_no_request_costs_the_server_nothing(tmp_path: Path) -> None:
    control = tmp_path / "control"
    with Pierhead(tmp_path, "--control-socket", str(control)) as server:
        for sent in (b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'"reload"\n', b"\xff\xfe\n"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(60)
                client.connect(str(control))
                client.sendall(sent)
                assert client.recv(100) == b"", "it is closed"
        assert "no command 'dance'" in ask(control, 20.0, command="dance")["failed"]
        assert ask(control, 20.0, command="status")["state"] == "serving"
        assert server.get()[0] == 200


@pytest.mark.parametrize("leaving", [False, True], ids=["serving", "leaving"])
def test_nothing_that_lies_is_left_of_a_master_that_was_killed(tmp_path: Path, leaving: bool) -> None:
    control, pid_file = tmp_path / "control", tmp_path / "pid"
    options = ("--control-socket", str(control), "--pid-file", str(pid_file))
    with Pierhead(tmp_path, *options) as server:
        assert pid_file.read_text() == f"{server.process.pid}\n"
        (generation,) = {parent_of(pid) for pid in server.workers()}
        request = threading.Thread(target=server.get, args=["/slow", 60.0])
        if leaving:  # as when the signal of its parent's death comes before the end of its channel
            request.start()
            server.wait_until_begun()
            os.kill(generation, signal.SIGTERM)
        server.process.kill()
        server.wait()
        eventually(lambda: not control.exists() and not pid_file.exists(), "both are removed")
        server.let_go()
        if leaving:
            request.join(60)
    with Pierhead(tmp_path, *options) as server:
        assert pid_file.read_text() == f"{server.process.pid}\n"


def test_what_happens_has_its_reason_as_fields_of_json(tmp_path: Path) -> None:
    options = ("--log-format", "json", "--control-socket", "")
    with Pierhead(tmp_path, *options, workers=1) as server:
        (victim,) = server.workers()
        with pytest.raises((OSError, http.client.HTTPException)):
            server.get("/exit/9?secret=1")
        server.wait_for_log("worker_died")
        server.write("raise RuntimeError('broken')\n")
        server.signal(signal.SIGHUP)
        server.wait_for_log("reload_failed")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        events = {
            record["event"]: record
            for record in map(json.loads, server.log.splitlines())
            if "event" in record
        }
    assert {*events} >= {"ready", "worker_died", "reload", "app_failed", "reload_failed", "stopping"}
    died = events["worker_died"]
    assert (died["worker"], died["exit_code"], died["retry_in_s"]) == (victim, 9, 0)
    assert (died["reason"], died["request"], died["slot"]) == ("died", "GET /exit/9", 0)
    assert events["ready"]["listen"] == [f"http://127.0.0.1:{server.port}"]
    assert events["app_failed"]["reason"].endswith("RuntimeError: broken")
    assert events["reload_failed"]["reason"].endswith("RuntimeError: broken)")
    assert events["stopping"]["signal"] == "SIGTERM"
