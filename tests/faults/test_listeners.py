"""Limits of a listener's own, and limits that hold for all workers together."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_balance import ask, connect, connect_to_another
from tests.faults.test_limits import READS, response
from tests.supervisor.harness import Pierhead, eventually

OPEN = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
OWN = {  # by kind, so that what is tested of one is not answered by another, however slow the machine
    "small": "max_line_bytes=100&max_head_bytes=1KiB&max_headers=5&max_body_bytes=9",
    "early": "first_byte_timeout_s=300ms",
    "hasty": "head_timeout_s=400ms&body_timeout_s=300ms&keep_alive_timeout_s=1s&handler_timeout_s=1s",
    "few": "max_in_flight=1&max_queued=0&max_connections=3&handler_timeout_s=2s",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pierhead]:
    folder = tmp_path_factory.mktemp("served")
    urls = (f"http://unix:{folder}/{name}?{limits}" for name, limits in OWN.items())
    with Pierhead(folder, *(word for url in urls for word in ("--listen", url)), source=READS) as server:
        yield server


def narrow(server: Pierhead, name: str) -> socket.socket:
    """Connect to a listener that has limits of its own."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(str(server.folder / name))
    return client


@pytest.mark.parametrize(
    ("name", "request_", "status"),
    [
        ("small", OPEN + "\r\n", 200),
        ("small", f"GET /{'x' * 100} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 414),
        ("small", OPEN + f"X: {'x' * 1024}\r\n\r\n", 431),
        ("small", OPEN + "X: 1\r\n" * 4 + "\r\n", 431),
        ("small", "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1234567890", 413),
        ("hasty", "GET / HTTP/1.1\r\n", 408),
        ("hasty", "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1", 408),
        ("hasty", "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 504),
    ],
    ids=["served", "line", "head", "headers", "body", "head timeout", "body timeout", "handler timeout"],
)
def test_a_listener_refuses_what_is_over_its_own_limits(
    server: Pierhead, name: str, request_: str, status: int
) -> None:
    with narrow(server, name) as client:
        client.sendall(request_.encode())
        assert response(client).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    "request_",
    [
        OPEN + f"X: {'x' * 1024}\r\n\r\n",
        OPEN + "X: 1\r\n" * 10 + "\r\n",
        "POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nConnection: close\r\n\r\n1234567890",
    ],
)
def test_another_listener_does_not(server: Pierhead, request_: str) -> None:
    with connect(server) as client:
        client.sendall(request_.encode())
        assert response(client).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("name", "sent"),
    [("early", b""), ("hasty", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
    ids=["first byte", "keep-alive"],
)
def test_idle_connections_have_the_listeners_patience(server: Pierhead, name: str, sent: bytes) -> None:
    with narrow(server, name) as client:
        client.sendall(sent)
        assert response(client).count(b"HTTP/1.1 ") == (1 if sent else 0)


def test_a_listeners_requests_in_flight_are_counted_apart(server: Pierhead) -> None:
    """It has one worker's one request at a time here: with two workers, two."""
    served = 0
    while not served:  # for as long as connections of the test before are in the way
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(narrow(server, "few")) for _ in range(3)]
            for client in clients:
                with contextlib.suppress(BrokenPipeError):  # it is refused already
                    client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answers = sorted(response(client)[9:12] for client in clients)
            served = answers.count(b"504")
            assert answers.count(b"503") == 3 - served > 0, answers
            assert server.get()[0] == 200, "the other listener has room"


def test_a_listeners_connections_are_limited_over_all_workers(server: Pierhead) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            eventually(lambda: stays(stack, server), "connections of the test before are gone")
        with narrow(server, "few") as fourth:
            assert response(fourth).startswith(b"HTTP/1.1 503 ")
        assert server.get()[0] == 200, "the other listener has room"
    eventually(lambda: served_alone(server), "there is room again")


def stays(stack: contextlib.ExitStack, server: Pierhead) -> bool:
    client = stack.enter_context(narrow(server, "few"))
    with contextlib.suppress(BrokenPipeError):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return client.recv(12) == b"HTTP/1.1 200"


def served_alone(server: Pierhead) -> bool:
    with narrow(server, "few") as client:
        with contextlib.suppress(BrokenPipeError):
            client.sendall(OPEN.encode() + b"\r\n")
        return response(client).startswith(b"HTTP/1.1 200 ")


def test_all_workers_together_hold_as_many_connections_as_are_allowed(tmp_path: Path) -> None:
    allowed = 12
    options = ("--max-connections", str(allowed), "--hang-timeout-s", "0")
    with Pierhead(tmp_path, *options, workers=3) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server))]
        clients.append(stack.enter_context(connect_to_another(server, ask(clients[0]))))
        clients += [stack.enter_context(connect(server)) for _ in range(allowed - 2)]
        assert all(ask(client) for client in clients)
        for _ in range(5):
            with connect(server) as client:
                refused = response(client)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 1\r\n" in refused
            assert b"too many connections for this server" in refused
        clients.pop().close()
        eventually(lambda: server.get()[0] == 200, "there is room again")


def test_a_crowd_that_comes_at_once_is_not_let_in_beyond_the_limit(tmp_path: Path) -> None:
    allowed = 10
    with Pierhead(tmp_path, "--max-connections", str(allowed), workers=3) as server:
        answers: list[tuple[bytes, socket.socket]] = []
        gate = threading.Barrier(30)

        def come() -> None:
            gate.wait(60)
            client = connect(server)
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answers.append((client.recv(12), client))

        crowd = [threading.Thread(target=come) for _ in range(30)]
        for one in crowd:
            one.start()
        for one in crowd:
            one.join(60)
        statuses = [data for data, _ in answers]
        for _, client in answers:
            client.close()
        assert len(statuses) == 30, "nobody goes without an answer"
        assert set(statuses) <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}
        assert 0 < statuses.count(b"HTTP/1.1 200") <= allowed
