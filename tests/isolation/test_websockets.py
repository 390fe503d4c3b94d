"""WebSockets in processes of their own: the connection is passed, or relayed where it is one over TLS."""

from __future__ import annotations

import os
import re
import signal
import socket as sockets
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect, unix_connect

from pierhead.cli.status import fetch
from tests.isolation.harness import APP, begun, busy, isolated_processes
from tests.supervisor.harness import Pierhead, alive, eventually


def open_socket(server: Pierhead, target: str = "/socket", *, tls: bool = False, **options: Any) -> Any:
    if not tls:
        return connect(f"ws://127.0.0.1:{server.port}{target}", open_timeout=60, **options)
    match = re.search(r"https://127\.0\.0\.1:([0-9]+)", server.log)
    assert match is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return connect(f"wss://127.0.0.1:{match[1]}{target}", ssl=context, open_timeout=60, **options)


def pid_of(socket: ClientConnection) -> int:
    assert socket.response is not None
    return int(socket.response.headers["X-Pid"])


@pytest.mark.parametrize("tls", [False, True])
def test_it_converses_in_a_process_of_its_own(server: Pierhead, tls: bool) -> None:
    with open_socket(server, tls=tls, subprotocols=["chat"]) as one, open_socket(server, tls=tls) as other:
        assert {pid_of(one), pid_of(other)} <= set(isolated_processes(server))
        assert pid_of(one) != pid_of(other)
        assert one.subprotocol == "chat"
        for message in ("grün", b"\0\1", "x" * 200_000):
            one.send(message)
            other.send(message)
            assert one.recv(timeout=60) == other.recv(timeout=60) == message


def test_its_frames_do_not_come_through_the_worker(server: Pierhead) -> None:
    (worker,) = server.workers()
    with open_socket(server) as socket:
        os.kill(worker, signal.SIGSTOP)
        try:
            socket.send("are you there?")
            assert socket.recv(timeout=60) == "are you there?"
        finally:
            os.kill(worker, signal.SIGCONT)


@pytest.mark.parametrize("tls", [False, True])
def test_who_closes_says_why_and_the_process_goes_on_with_the_next(server: Pierhead, tls: bool) -> None:
    with open_socket(server, tls=tls) as socket:
        pid = pid_of(socket)
        socket.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "as you wish")
    eventually(lambda: busy(server) == 0, "the process is free")
    assert f"process {pid}" not in server.log


@pytest.mark.parametrize("tls", [False, True])
def test_a_process_that_dies_closes_its_own_connection_only(server: Pierhead, tls: bool) -> None:
    with open_socket(server, tls=tls) as victim, open_socket(server) as other:
        victim.send("exit")
        with pytest.raises(ConnectionClosed) as closed:
            victim.recv(timeout=60)
        code = closed.value.rcvd.code if closed.value.rcvd is not None else None
        assert code == (1011 if tls else None)  # a connection that was passed is cut with its process
        server.wait_for_log(f"process {pid_of(victim)} of app exited with code 9")
        other.send("still here")
        assert other.recv(timeout=60) == "still here"


def test_a_handshake_can_be_refused(server: Pierhead) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(server, "/refused"):
        pass
    assert refused.value.response.status_code == 403
    assert refused.value.response.body == b"not you"


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_vanishes_frees_the_process(server: Pierhead, tls: bool) -> None:
    with open_socket(server, tls=tls) as socket:
        pid = pid_of(socket)
        socket.socket.close()
    eventually(lambda: busy(server) == 0, "the process is free")
    assert f"process {pid}" not in server.log


def test_frames_that_come_with_the_handshake_are_not_lost(server: Pierhead) -> None:
    with sockets.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(
            b"GET /socket HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            b"\x81\x85" + bytes(4) + b"early"
        )
        received = b""
        while not received.endswith(b"\x81\x05early"):
            received += client.recv(4096)


@pytest.mark.parametrize(("loop", "reload"), [("asyncio", True), ("uvloop", False)])
def test_they_are_closed_when_the_server_leaves(tmp_path: Path, loop: str, reload: bool) -> None:
    """With 1012 or 1001, and their close is awaited, though the worker does not see it."""
    with Pierhead(tmp_path, "--loop", loop, source=APP, workers=1) as server:
        (worker,) = server.workers()
        with open_socket(server) as socket, open_socket(server) as other:
            pids = {pid_of(socket), pid_of(other)}
            server.signal(signal.SIGHUP if reload else signal.SIGTERM)
            codes = []
            for each in (socket, other):
                with pytest.raises(ConnectionClosed) as closed:
                    each.recv(timeout=60)
                assert closed.value.rcvd is not None
                codes.append(closed.value.rcvd.code)
            assert codes == [1012 if reload else 1001] * 2
        eventually(lambda: not any(map(alive, [worker, *pids])), "worker and processes leave")
        assert "cut" not in server.log
        if not reload:
            assert server.wait() == 0


def test_limits_are_those_of_the_listener(server: Pierhead) -> None:
    with unix_connect(str(server.folder / "narrow"), "ws://x/socket", open_timeout=60) as socket:
        socket.send("0123456789")
        assert socket.recv(timeout=60) == "0123456789"
        socket.send("0123456789a")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
    assert closed.value.sent is not None
    assert closed.value.sent.code == 1009


def test_one_whose_client_leaves_the_line_makes_room(tmp_path: Path) -> None:
    control = tmp_path / "control"
    options = [
        "--isolation-max-processes",
        "1",
        "--isolation-max-queued",
        "2",
        "--control-socket",
        str(control),
    ]
    options += ["--isolation-queue-timeout-s", "0"]
    with Pierhead(tmp_path, *options, source=APP, workers=1) as server, ThreadPoolExecutor() as clients:
        running = clients.submit(server.get, "/wait/line", timeout=60)
        begun(tmp_path, "line")
        handshakes = [half_open_socket(server) for _ in range(2)]
        eventually(lambda: awaited(control) == 2, "the line is full")
        assert server.get("/", timeout=60)[0] == 503
        for each in handshakes:
            each.close()
        eventually(lambda: awaited(control) == 0, "they have left it")
        waiting = clients.submit(server.get, "/", timeout=60)
        eventually(lambda: awaited(control) == 1, "another takes the place")
        (tmp_path / "go-line").touch()
        assert [each.result()[0] for each in (running, waiting)] == [200, 200]


def half_open_socket(server: Pierhead) -> sockets.socket:
    client = sockets.create_connection(("127.0.0.1", server.port), 60)
    client.sendall(
        b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    return client


def awaited(control: Path) -> int:
    (generation,) = fetch(str(control))["generations"]
    count: int = generation["workers"][0]["processes"]["waiting"]
    return count


def test_those_that_are_open_at_the_same_time_have_a_process_each(server: Pierhead) -> None:
    done = threading.Barrier(4, timeout=60)
    pids: set[int] = set()

    def converse() -> None:
        with open_socket(server) as socket:
            pids.add(pid_of(socket))
            done.wait()

    clients = [threading.Thread(target=converse) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert len(pids) == 4
