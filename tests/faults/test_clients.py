"""Clients that are slow, never read, close half or reset: each ends, and costs nobody else anything."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_balance import connect
from tests.faults.test_exhaustion import cpu_s
from tests.faults.test_limits import response
from tests.supervisor.harness import APP, Load, Pierhead, alive, eventually

HEAD = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
STAGES = {
    "nothing": b"",
    "half a head": HEAD[:20],
    "a head": HEAD,
    "half a body": HEAD + b"12345",
    "a request": HEAD + b"1234567890",
    "a pipeline": (HEAD + b"1234567890") * 3,
    "a stream": b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n",
    "a handler": b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n",
    "a chunk": b"POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
    "an expectation": HEAD[:-2] + b"Expect: 100-continue\r\n\r\n",
    "a WebSocket": UPGRADE,
    "half a frame": UPGRADE + bytes([0x81, 0x85, 1, 2]),
    "a message": UPGRADE + bytes([0x81, 0x85, 0, 0, 0, 0]) + b"hello",
}
SERVED = (
    APP
    + """
@app.post("/read")
async def read(request: Request) -> Response:
    return Response.text(str(len(await request.body())))

@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for message in socket:
        await socket.send(message)

@app.get("/endless")
async def endless(request: Request) -> Response:
    async def pieces():
        while True:
            yield b"x" * 65536
    return Response.stream(pieces())
"""
)
OPTIONS = (
    *("--head-timeout-s", "1", "--body-timeout-s", "1", "--write-timeout-s", "1"),
    *("--keep-alive-timeout-s", "1", "--handler-timeout-s", "2"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pierhead]:
    with Pierhead(tmp_path_factory.mktemp("served"), *OPTIONS, source=SERVED) as server:
        yield server


def reset(client: socket.socket) -> None:
    """Close with a reset: what is unsent is dropped (socket(7), SO_LINGER)."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("stage", STAGES)
def test_a_reset_at_any_stage_costs_nobody_anything(server: Pierhead, stage: str) -> None:
    workers = server.workers()
    with Load(server).running() as load:
        for _ in range(10):
            client = connect(server)
            client.sendall(STAGES[stage])
            reset(client)
        load.more()
    assert load.failed == []
    assert server.workers() == workers
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("sent", "status"),
    [(HEAD[:20], b"408"), (HEAD + b"12345", b"408"), (STAGES["a handler"], b"504")],
    ids=["head", "body", "handler"],
)
def test_what_does_not_come_in_time_is_answered(server: Pierhead, sent: bytes, status: bytes) -> None:
    with connect(server) as client:
        client.sendall(sent)
        assert response(client).startswith(b"HTTP/1.1 " + status)


def test_a_client_that_never_reads_is_cut_off(server: Pierhead) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(5)]
        for client in clients:
            client.sendall(STAGES["a stream"])
        with Load(server).running() as load:
            load.more()
        assert load.failed == []
        for client in clients:
            received = b""
            with contextlib.suppress(ConnectionResetError):
                received = response(client)
            assert not received.endswith(b"0\r\n\r\n"), "it can be seen that something is missing"


@pytest.mark.parametrize("stage", ["a request", "a pipeline"])
def test_a_client_that_closes_its_half_is_answered(server: Pierhead, stage: str) -> None:
    with connect(server) as client:
        client.sendall(STAGES[stage])
        client.shutdown(socket.SHUT_WR)
        assert response(client).count(b"HTTP/1.1 200 OK") == STAGES[stage].count(HEAD)


def test_after_all_that_nothing_runs_any_more(server: Pierhead) -> None:
    (pid, other) = server.workers()
    eventually(lambda: len(sockets(pid)) + len(sockets(other)) < 20, "connections are let go")
    assert alive(pid)
    assert alive(other)
    assert cpu_s(pid) < 60


def sockets(pid: int) -> list[str]:
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith("socket:"):
                found.append(link.name)
    return found
