"""Crashes, reloads and stops of the real server, in real processes, under load."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.supervisor.harness import APP, Load, Pierhead, alive, eventually


def test_a_killed_worker_is_replaced_and_only_its_own_requests_are_lost(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        before = server.workers()
        assert len(before) == 2
        victim = before.pop()
        with Load(server).running() as load:
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: len(server.workers() - {victim}) == 2, "a replacement")
            load.more()
        # Those the victim was answering: at most one for each client.
        assert len(load.failed) <= 4, load.failed
        assert load.answered > 60
        server.wait_for_log(f"worker {victim} was killed by SIGKILL")


def test_a_worker_that_exits_is_named_with_its_code(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        with pytest.raises((OSError, http.client.HTTPException)):
            server.get("/exit/7")
        server.wait_for_log("exited with code 7 (begun last: GET /exit/7")  # perhaps it is "in progress", too
        server.wait_for_log("); replacing it")
        eventually(lambda: len(server.workers()) == 2, "a replacement")
        assert server.get()[0] == 200


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_reload_under_load_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with Pierhead(tmp_path) as server:
        old = server.workers()
        with Load(server).running() as load:
            server.write(APP, one="two")
            server.signal(number)
            server.wait_for_log("generation 2 serves")
            load.more()
            eventually(lambda: not any(map(alive, old)), "the old workers leave")
            load.more()
        assert load.failed == []
        assert json.loads(load.bodies[0])["version"] == "one"
        assert json.loads(load.bodies[-1])["version"] == "two"


def test_a_reload_with_broken_code_changes_nothing_and_says_why(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        workers = server.workers()
        with Load(server).running() as load:
            server.write("import nonsense_that_is_missing\n")
            server.signal(signal.SIGHUP)
            server.wait_for_log("reload failed; the code from before goes on serving")
            load.more()
        assert load.failed == []
        assert "nonsense_that_is_missing" in server.log
        assert server.workers() == workers
        server.write(APP, one="three")
        server.signal(signal.SIGHUP)
        server.wait_for_log("serves on")
        eventually(lambda: b"three" in server.get()[1], "the mended code")


def test_a_resize_just_after_a_reload_began_is_heard_by_the_new_generation(tmp_path: Path) -> None:
    with Pierhead(tmp_path, workers=1) as server:
        server.signal(signal.SIGHUP)
        server.wait_for_log("reloading")
        server.signal(signal.SIGTTIN)  # before it has read its settings, most likely
        server.wait_for_log("generation 2 serves")
        eventually(lambda: len(server.workers()) == 2, "two workers, and none of the old one's")


def test_an_open_event_stream_does_not_hold_a_reload_up(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port), 60) as stream:
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        old = server.workers()
        assert b"200 OK" in stream.recv(65536)
        server.signal(signal.SIGHUP)
        server.wait_for_log("generation 2 serves")
        received = b""
        while piece := stream.recv(65536):
            received += piece
        assert received.endswith(b"0\r\n\r\n")  # ended, not cut: the client reconnects
        eventually(lambda: not any(map(alive, old)), "the old workers leave")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_finishes_what_was_begun(tmp_path: Path, number: signal.Signals) -> None:
    with Pierhead(tmp_path) as server:
        answers: list[tuple[int, bytes]] = []
        threads = [threading.Thread(target=lambda: answers.append(server.get("/slow"))) for _ in range(4)]
        blocked = threading.Thread(target=lambda: answers.append(server.get("/block")))
        threads.append(blocked)
        for thread in threads:
            thread.start()
        server.wait_until_begun(5)
        server.signal(number)
        server.wait_for_log("stopping on")
        server.let_go()
        assert server.wait() == 0
        for thread in threads:
            thread.join(60)
        assert answers == [(200, b"finished")] * 5
        with pytest.raises(ConnectionRefusedError):
            server.get()
        eventually(lambda: not any(map(alive, server.pids)), "all processes leave")


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        hanging = socket.create_connection(("127.0.0.1", server.port))
        hanging.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_until_begun()
        server.signal(signal.SIGTERM)
        server.wait_for_log("stopping on SIGTERM")
        server.signal(signal.SIGTERM)
        assert server.wait(28) == 1
        hanging.close()


def test_a_stop_ends_within_its_grace_whatever_hangs(tmp_path: Path) -> None:
    with Pierhead(tmp_path, "--drain-timeout-s", "0.3") as server:
        hanging = socket.create_connection(("127.0.0.1", server.port))
        hanging.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_until_begun()
        server.signal(signal.SIGTERM)
        assert server.wait(28) == 0, "less than by default"
        hanging.close()


def test_when_the_master_is_killed_everybody_leaves(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        others = server.note_processes()
        assert len(others) == 3
        server.process.kill()
        server.wait()
        eventually(lambda: not any(map(alive, others)), "generation and workers leave")


def test_when_the_generation_is_killed_another_takes_over(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        (generation,) = server.note_processes() - server.workers()
        os.kill(generation, signal.SIGKILL)
        server.wait_for_log("generation 2 serves")
        assert server.get()[0] == 200
        eventually(lambda: len(server.workers()) == 2, "two workers")


def test_an_application_that_does_not_import_is_exit_code_3(tmp_path: Path) -> None:
    with Pierhead(tmp_path, source="x = 1\nraise RuntimeError('no database')\n", ready=False) as server:
        assert server.wait() == 3
        server.wait_for_log("no database")
        assert "app.py, line 2" in server.log
        assert "importlib" not in server.log


def test_a_start_hook_that_fails_is_exit_code_3(tmp_path: Path) -> None:
    source = APP + "\n@app.on_start\nasync def fail():\n    raise RuntimeError('no pool')\n"
    with Pierhead(tmp_path, source=source, ready=False) as server:
        assert server.wait() == 3
        server.wait_for_log("no pool")


def test_a_port_in_use_is_exit_code_4_and_names_the_holder(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        url = f"http://127.0.0.1:{server.port}"
        other = tmp_path / "other"
        other.mkdir()
        with Pierhead(other, "--listen", url, ready=False) as second:
            assert second.wait() == 4
            second.wait_for_log(f"cannot listen on {url}: the port is in use by")
            assert "(pid " in second.log


def test_a_file_that_changes_reloads_in_development(tmp_path: Path) -> None:
    with Pierhead(tmp_path, "--reload", workers=1) as server:
        server.write(APP, one="a change")
        server.wait_for_log("app.py changed")
        eventually(lambda: b"a change" in server.get()[1], "the new code")
        server.write("this is no Python\n")
        server.wait_for_log("reload failed")
        assert b"a change" in server.get()[1]


def test_a_unix_socket_that_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with Pierhead(tmp_path, "--listen", f"http://unix:{path}") as server:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert not path.exists()
