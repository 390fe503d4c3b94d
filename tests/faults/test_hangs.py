"""Workers that crash, hang or are stopped: who notices, what is said, and that others go on serving."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.supervisor.harness import APP, Load, Pierhead, alive, eventually

FAULTY = (
    APP
    + """
import ctypes, re

@app.get("/segfault")
async def segfault(request: Request) -> Response:
    ctypes.string_at(0)

@app.get("/block-the-loop")
async def block_the_loop(request: Request) -> Response:
    begin()
    time.sleep(600)

@app.get("/block-python")
async def block_python(request: Request) -> Response:
    begin()
    re.match("(a+)+$", "a" * 64 + "b")  # never ends, in C, and no other thread runs meanwhile
"""
)
SOON = ("--hang-timeout-s", "3")


def lose(server: Pierhead, target: str) -> None:
    """Send a request that gets no answer."""
    with pytest.raises((OSError, http.client.HTTPException)):
        server.get(target, timeout=60)


def test_a_crash_is_told_with_its_signal_the_request_and_the_stack(tmp_path: Path) -> None:
    with Pierhead(tmp_path, source=FAULTY) as server:
        lose(server, "/segfault?password=secret")
        server.wait_for_log("was killed by SIGSEGV (begun last: GET /segfault")
        server.wait_for_log("); replacing it")
        server.wait_for_log("in segfault")
        assert "secret" not in server.log
        eventually(lambda: len(server.workers()) == 2, "a replacement")
        assert server.get()[0] == 200


@pytest.mark.parametrize("target", ["/block-the-loop", "/block-python"])
def test_a_blocked_loop_is_found_told_and_replaced(tmp_path: Path, target: str) -> None:
    with Pierhead(tmp_path, *SOON, source=FAULTY) as server:
        before = server.workers()
        with Load(server).running() as load:
            victim = threading.Thread(target=lose, args=(server, target))
            victim.start()
            server.wait_until_begun()
            answered = load.answered
            server.wait_for_log("hangs: its event loop has been blocked for")
            assert load.answered > answered, "the other worker goes on"
            eventually(lambda: len(server.workers() - before) == 1, "a replacement")
            load.more()
            victim.join(60)
        # Those that the victim had accepted before it was blocked: at most one for each client.
        assert len(load.failed) <= 4, load.failed
        server.wait_for_log(f"(begun last: GET {target}")
        server.wait_for_log(f"in {target[1:].replace('-', '_')}")


def test_a_stopped_worker_is_found_and_replaced(tmp_path: Path) -> None:
    with Pierhead(tmp_path, *SOON) as server:
        victim = server.workers().pop()
        with Load(server).running() as load:
            os.kill(victim, signal.SIGSTOP)
            server.wait_for_log(f"worker {victim} has been stopped for")
            eventually(lambda: not alive(victim) and len(server.workers()) == 2, "a replacement")
            load.more()
        assert len(load.failed) <= 4, load.failed


def test_a_worker_that_blocks_in_c_code_does_not_outlive_the_drain(tmp_path: Path) -> None:
    with Pierhead(tmp_path, "--drain-timeout-s", "0.5", source=FAULTY) as server:
        old = server.workers()
        with closing(socket.create_connection(("127.0.0.1", server.port))) as client:
            client.sendall(b"GET /block-python HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_until_begun()
            server.signal(signal.SIGHUP)
            server.wait_for_log("generation 2 serves")
            server.wait_for_log("does not leave; killing it (begun last: GET /block-python")
            eventually(lambda: not any(map(alive, old)), "the old workers are gone")
        assert server.get()[0] == 200


def test_a_generation_that_is_stopped_is_replaced(tmp_path: Path) -> None:
    with Pierhead(tmp_path, *SOON) as server:
        (generation,) = server.note_processes() - server.workers()
        with Load(server).running() as load:
            os.kill(generation, signal.SIGSTOP)
            server.wait_for_log("generation 1 has been stopped for")
            server.wait_for_log("generation 2 serves")
            load.more()
        assert load.failed == []
        assert not alive(generation)


def test_workers_that_keep_dying_are_replaced_less_and_less_often(tmp_path: Path) -> None:
    with Pierhead(tmp_path, workers=1) as server:
        deaths = 0
        while "; too many died lately: replacing it in 1 s" not in server.log:
            lose(server, "/exit/9")
            deaths += 1
            server.wait_for_log("exited with code 9 (", deaths)
        assert server.get()[0] == 200, "the connection waits for the worker"
        assert server.log.count("; replacing it") == deaths - 1 >= 5, "as many as are excused in ten seconds"


def test_a_worker_that_hangs_before_it_is_ready_is_killed_and_tried_again(tmp_path: Path) -> None:
    source = APP + (
        "\n@app.on_start\nasync def hang():\n"
        "    if os.path.exists(os.path.join(os.path.dirname(__file__), 'hang')):\n        time.sleep(600)\n"
    )
    with Pierhead(tmp_path, "--start-timeout-s", "20", source=source) as server:
        (tmp_path / "hang").touch()
        os.kill(server.workers().pop(), signal.SIGKILL)
        server.wait_for_log("is not ready within start_timeout_s; killing it")
        (tmp_path / "hang").unlink()
        server.wait_for_log("next try in 1 s")
        eventually(lambda: len(server.workers()) == 2, "a replacement")


def test_a_machine_that_was_paused_is_no_reason_to_kill_anybody(tmp_path: Path) -> None:
    with Pierhead(tmp_path, *SOON) as server:
        workers = server.workers()
        everybody = [*server.note_processes(), server.process.pid]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(5.5)  # the fault: nobody runs, while the monotonic clock does
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        with Load(server).running() as load:
            load.more(200)
        assert load.failed == []
        assert server.workers() == workers
        assert "killing it" not in server.log
