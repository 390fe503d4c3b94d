"""What a process that runs unattended meets: orphans, storms of signals, kept connections, no fork."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from tests.supervisor.harness import APP, Load, Pierhead, alive, eventually, parent_of

# Makes the master what process 1 of a container is: the one that inherits orphans (prctl(2)).
AS_SUBREAPER = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0);"
    " os.execv(sys.executable, [sys.executable, '-P', '-m', 'pierhead', *sys.argv[1:]])"
)
WITHOUT_FORK = "import os; del os.fork; from pierhead.cli import main; raise SystemExit(main())"

ORPHAN = (
    APP
    + """
@app.get("/orphan")
def orphan(request: Request) -> Response:
    import subprocess
    # The shell ends at once; what it started is nobody's child then.
    done = subprocess.run(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"], stdout=subprocess.PIPE)
    return Response.text(done.stdout.decode())
"""
)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are inherited this way on Linux only")
def test_an_inherited_orphan_is_reaped_and_taken_for_no_worker(tmp_path: Path) -> None:
    program = (sys.executable, "-c", AS_SUBREAPER)
    with Pierhead(tmp_path, source=ORPHAN, program=program) as server:
        orphan = int(server.get("/orphan")[1])
        assert parent_of(orphan) == server.process.pid
        workers = server.workers()
        os.kill(orphan, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{orphan}").exists(), "the orphan is reaped")
        assert server.workers() == workers
        assert not re.search(rf"\b{orphan}\b", server.log)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


SIDECAR = (
    APP
    + """
import subprocess, sys

@app.on_start(per="master")
def start() -> None:
    app.state.sidecar = subprocess.Popen(["sh", "-c", "exit 7"])

@app.on_stop(per="master")
def stop() -> None:
    print("sidecar ended with", app.state.sidecar.wait(), file=sys.stderr, flush=True)
"""
)


def test_a_process_that_the_application_started_is_left_to_it(tmp_path: Path) -> None:
    with Pierhead(tmp_path, source=SIDECAR) as server:
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        server.wait_for_log("sidecar ended with 7")


def test_a_storm_of_reloads_ends_with_the_newest_code_and_loses_nothing(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        with Load(server).running() as load:
            for number in range(5):
                server.write(APP, one=f"version {number}")
                for _ in range(3):
                    server.signal(signal.SIGHUP)
            server.write(APP, one="the newest")
            server.signal(signal.SIGHUP)
            eventually(lambda: b"the newest" in server.get()[1], "the newest code")
            load.more()
            eventually(lambda: len(server.note_processes()) == 3, "a generation and two workers, no more")
        assert load.failed == []
        assert b"the newest" in server.get()[1]


def test_a_reload_under_kept_connections_loses_nothing(tmp_path: Path) -> None:
    """A connection that the old workers leave says so in its last response, and is opened anew."""
    with Pierhead(tmp_path) as server:
        done = threading.Event()
        failed: list[str] = []
        answered: list[str] = []

        def ask() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            last = time.monotonic()
            while not done.is_set():
                paused_s = time.monotonic() - last
                try:
                    connection.request("GET", "/")
                    response = connection.getresponse()
                    answered.append(json.loads(response.read())["version"])
                except (OSError, http.client.HTTPException) as error:
                    if paused_s < 0.25:  # who is idle for as long as the grace finds the connection closed
                        failed.append(repr(error))
                    connection.close()
                last = time.monotonic()
            connection.close()

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            for version in ("two", "three"):
                server.write(APP, one=version)
                server.signal(signal.SIGHUP)
                eventually(partial(is_last, answered, version), f"version {version}")
            eventually(lambda: len(server.note_processes()) == 3, "the old workers leave")
        finally:
            done.set()
            for client in clients:
                client.join(60)
        assert failed == []


def test_a_second_server_does_not_take_the_pid_file(tmp_path: Path) -> None:
    pid_file = tmp_path / "pierhead.pid"
    other = tmp_path / "other"
    other.mkdir()
    with Pierhead(tmp_path, "--pid-file", str(pid_file)) as server:
        assert pid_file.read_text() == f"{server.process.pid}\n"
        with Pierhead(other, "--pid-file", str(pid_file), ready=False) as second:
            assert second.wait() != 0
            assert f"is held by process {server.process.pid}" in second.log
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert not pid_file.exists()


def test_a_pid_file_left_behind_is_taken_over(tmp_path: Path) -> None:
    pid_file = tmp_path / "pierhead.pid"
    pid_file.write_text("1\n")
    with Pierhead(tmp_path, "--pid-file", str(pid_file)) as server:
        assert pid_file.read_text() == f"{server.process.pid}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_fork_one_process_serves_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with Pierhead(tmp_path, program=(sys.executable, "-P", "-c", WITHOUT_FORK)) as server:
        assert json.loads(server.get()[1])["pid"] == server.process.pid
        assert server.get("/readyz")[0] == 200
        answers: list[tuple[int, bytes]] = []
        client = threading.Thread(target=lambda: answers.append(server.get("/slow")))
        client.start()
        server.wait_until_begun()
        server.signal(number)
        server.let_go()
        client.join(60)
        assert server.wait() == 0
        assert answers == [(200, b"finished")]


@pytest.mark.parametrize(
    ("source", "code", "told"),
    [
        ("raise RuntimeError('no database')", 3, "no database"),
        (APP + "\n@app.on_start\nasync def fail():\n    raise RuntimeError('no pool')\n", 3, "no pool"),
    ],
)
def test_without_fork_a_failed_start_is_the_same(tmp_path: Path, source: str, code: int, told: str) -> None:
    program = (sys.executable, "-P", "-c", WITHOUT_FORK)
    with Pierhead(tmp_path, source=source, program=program, ready=False) as server:
        assert server.wait() == code
        server.wait_for_log(told)


def test_without_fork_a_port_in_use_is_the_same(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        program = (sys.executable, "-P", "-c", WITHOUT_FORK)
        with Pierhead(tmp_path, "--listen", url, program=program, ready=False) as server:
            assert server.wait() == 4
            server.wait_for_log(f"(pid {os.getpid()})")


def test_one_worker_is_replaced_without_a_refused_connection(tmp_path: Path) -> None:
    with Pierhead(tmp_path, workers=1) as server:
        (victim,) = server.workers()
        os.kill(victim, signal.SIGKILL)
        assert server.get()[0] == 200, "the connection waits in the master's socket"
        eventually(lambda: not alive(victim), "the old one is gone")


def test_all_addresses_are_told_and_serve(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    options = ["--listen", "http://[::1]:0", "--listen", f"http://unix:{path}?mode=600"]
    with Pierhead(tmp_path, *options) as server:
        match = re.search(r"http://\[::1\]:([1-9][0-9]*)", server.log)
        assert match is not None, server.log
        assert f"http://unix:{path}" in server.log
        with socket.create_connection(("::1", int(match[1])), 60) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert path.stat().st_mode & 0o777 == 0o600


def is_last(answered: list[str], version: str) -> bool:
    return answered[-1:] == [version]
