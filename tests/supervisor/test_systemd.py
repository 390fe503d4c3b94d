"""systemd: sockets it passes, and what it is told; without systemd, by its protocols."""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from pierhead.supervisor import systemd
from tests.supervisor.harness import Pierhead

DEFAULT = ("http://127.0.0.1:8080",)
# What a manager does: the socket is descriptor 3, and the variables name this process.
AS_MANAGER = (
    "import os, socket, sys;"
    " bound = socket.create_server(('127.0.0.1', 0)); os.dup2(bound.fileno(), 3);"
    " os.set_inheritable(3, True);"
    " os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), WATCHDOG_USEC='200000');"
    " os.execv(sys.executable, [sys.executable, '-P', '-m', 'pierhead', *sys.argv[1:]])"
)


def test_passed_sockets_replace_the_default_and_come_to_what_is_set() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}
    assert systemd.passed_urls(DEFAULT, DEFAULT, environ) == ("fd://3", "fd://4")
    others = ("fastcgi://fd:3", "http://[::1]:80")
    assert systemd.passed_urls(others, DEFAULT, environ) == (*others, "fd://4")
    for foreign in ({}, {**environ, "LISTEN_PID": "1"}, {**environ, "LISTEN_FDS": "x"}):
        assert systemd.passed_urls(DEFAULT, DEFAULT, foreign) == DEFAULT


def test_what_is_for_the_master_does_not_reach_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    assert "NOTIFY_SOCKET" not in systemd.child_environment()
    assert systemd.watchdog_interval_s() == 2.0
    systemd.notify("READY=1")  # a manager that is gone is no error
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.watchdog_interval_s() == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="systemd runs on Linux")
def test_a_passed_socket_is_served_and_the_manager_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        told: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

        def listen() -> None:
            while message := manager.recv(4096):
                told.put(message.decode().splitlines())

        def wait_for(line: str) -> list[str]:
            while line not in (lines := told.get(timeout=60)):
                pass
            return lines

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        with Pierhead(tmp_path, program=(sys.executable, "-c", AS_MANAGER)) as server:
            assert f"MAINPID={server.process.pid}" in wait_for("READY=1")
            assert server.log.count("http://127.0.0.1:") == 2, (
                "the one that is set, and the one that is passed"
            )
            for line in server.log.splitlines()[0].split():
                if line.startswith("http://127.0.0.1:"):
                    port = int(line.rstrip(",").rpartition(":")[2])
                    with socket.create_connection(("127.0.0.1", port), 60) as client:
                        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
            wait_for("WATCHDOG=1")
            server.signal(signal.SIGHUP)
            assert any(line.startswith("MONOTONIC_USEC=") for line in wait_for("RELOADING=1"))
            wait_for("READY=1")
            server.signal(signal.SIGTERM)
            wait_for("STOPPING=1")
            assert server.wait() == 0, server.log
        manager.sendto(b"", str(tmp_path / "notify"))
        listener.join()


@pytest.mark.skipif(sys.platform != "linux", reason="systemd runs on Linux")
def test_a_manager_that_is_busy_misses_nothing_but_the_watchdog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for _ in range(int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 5):
            systemd.notify("WATCHDOG=1")  # returns, though the queue is full
        thread = threading.Thread(target=systemd.notify, args=["READY=1"])
        monkeypatch.setattr(systemd, "_PATIENCE_S", 20.0)
        thread.start()
        manager.settimeout(60)
        while manager.recv(4096) != b"READY=1":
            pass
        thread.join()
