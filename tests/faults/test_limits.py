"""Limits of connections, of requests in progress and of patience: each is answered, and lets go again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from pierhead.messages.headers import Headers
from pierhead.supervisor import control as control_socket
from pierhead.transports.body import IncomingBody
from pierhead.transports.crowd import client_key
from tests.faults.test_balance import ask, connect, connect_to_another
from tests.supervisor.harness import APP, Pierhead, eventually

READS = (
    APP
    + """
@app.post("/read")
async def read(request: Request) -> Response:
    body = await request.body()
    return Response.text(str(len(body)))
"""
)


def response(client: socket.socket) -> bytes:
    received = b""
    while piece := client.recv(65536):
        received += piece
    return received


def test_one_connection_too_many_of_a_client_is_429_until_another_is_closed(tmp_path: Path) -> None:
    options = ("--max-connections-per-client", "12", "--trusted-proxies", "none", "--hang-timeout-s", "0")
    with Pierhead(tmp_path, *options, workers=3) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server))]
        # It counts in all workers: not all of these are one's.
        clients.append(stack.enter_context(connect_to_another(server, ask(clients[0]))))
        clients += [stack.enter_context(connect(server)) for _ in range(10)]
        assert all(ask(client) for client in clients)
        with connect(server) as another:
            refused = response(another)
        assert refused.startswith(b"HTTP/1.1 429 ")
        assert b"too many connections from your address" in refused
        clients.pop().close()
        eventually(lambda: server.get()[0] == 200, "there is room again")


def test_a_trusted_proxy_may_have_all_connections_it_needs(tmp_path: Path) -> None:
    options = ("--max-connections-per-client", "3")
    with Pierhead(tmp_path, *options, workers=1) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(10)]
        assert len({ask(client) for client in clients}) == 1


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:", "unix:"),
    ],
)
def test_a_client_is_an_address_or_a_network_of_ipv6(host: str, key: str) -> None:
    assert client_key(host) == key


def test_requests_in_progress_are_limited_and_more_wait_in_line(tmp_path: Path) -> None:
    control = tmp_path / "control"
    limits = ("--max-in-flight", "2", "--max-queued", "1", "--queue-timeout-s", "60")
    options = (*limits, "--control-socket", str(control))
    with Pierhead(tmp_path, *options, workers=1) as server:
        answers: list[tuple[int, bytes]] = []
        threads = [
            threading.Thread(target=lambda: answers.append(server.get("/slow", timeout=60))) for _ in range(3)
        ]
        threads[0].start()
        threads[1].start()
        server.wait_until_begun(2)
        threads[2].start()
        eventually(lambda: queued(control) == 1, "the third waits in line")
        assert server.get("/", timeout=60)[0] == 503, "the fourth finds it full"
        assert (tmp_path / "begun").read_text() == "xx", "the third has not begun"
        with connect(server) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"Retry-After: 1\r\n" in response(client)
        server.let_go()
        for thread in threads:
            thread.join(60)
        assert answers == [(200, b"finished")] * 3
        assert server.get()[0] == 200


def test_a_websocket_whose_client_leaves_the_line_makes_room(tmp_path: Path) -> None:
    control = tmp_path / "control"
    limits = ("--max-in-flight", "1", "--max-queued", "1", "--queue-timeout-s", "0")
    source = APP + "\n@app.websocket('/socket')\nasync def converse(socket):\n    await socket.accept()\n"
    with Pierhead(tmp_path, *limits, "--control-socket", str(control), source=source, workers=1) as server:
        answers: list[tuple[int, bytes]] = []
        threads = [
            threading.Thread(target=lambda target=target: answers.append(server.get(target, timeout=60)))
            for target in ("/slow", "/")
        ]
        threads[0].start()
        server.wait_until_begun()
        with connect(server) as client:
            client.sendall(
                b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            eventually(lambda: queued(control) == 1, "it waits in line")
            assert server.get("/", timeout=60)[0] == 503, "which is full"
        eventually(lambda: queued(control) == 0, "it has left it")
        threads[1].start()
        eventually(lambda: queued(control) == 1, "another takes its place")
        server.let_go()
        for thread in threads:
            thread.join(60)
        assert [status for status, _ in answers] == [200, 200]


def queued(control: Path) -> int:
    status = control_socket.ask(control, 10.0, command="status")
    count: int = status["generations"][0]["workers"][0]["queued"]
    return count


def test_a_request_that_waits_too_long_in_line_is_503(tmp_path: Path) -> None:
    options = ("--max-in-flight", "1", "--queue-timeout-s", "0.3")
    with Pierhead(tmp_path, *options, workers=1) as server:
        slow = threading.Thread(target=server.get, args=("/slow",), kwargs={"timeout": 60})
        slow.start()
        server.wait_until_begun()
        assert server.get()[0] == 503
        server.let_go()
        slow.join(60)
        assert server.get()[0] == 200


def test_a_body_that_trickles_is_408(tmp_path: Path) -> None:
    with Pierhead(tmp_path, "--body-timeout-s", "1", source=READS, workers=1) as server:
        with connect(server) as client:
            client.sendall(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
            client.settimeout(0.1)
            received = b""
            until = time.monotonic() + 60
            while not received and time.monotonic() < until:
                client.sendall(b"x")  # never a second without a byte
                with contextlib.suppress(TimeoutError):
                    received = client.recv(65536)
        assert received.startswith(b"HTTP/1.1 408 ")
        assert b"came too slowly" in received


async def test_a_body_has_more_time_the_more_it_has_brought(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("pierhead.transports.body.time.monotonic", lambda: now)
    body = IncomingBody(lambda: None, lambda: None, timeout_s=10.0, min_rate=100)

    async def wait_for(data: bytes, after_s: float) -> float:
        nonlocal now
        reading = asyncio.ensure_future(body.read())
        await asyncio.sleep(0)
        patience_s = body.deadline - now
        now += after_s
        body.feed(data)
        assert await reading == data
        return patience_s

    assert await wait_for(b"x" * 500, after_s=8.0) == 10.0
    assert await wait_for(b"x", after_s=5.0) == 7.0, "10 s and 5 s for 500 bytes, of which 8 are gone"
    assert await wait_for(b"x" * 5000, after_s=2.0) == pytest.approx(2.01)
    assert await wait_for(b"x", after_s=1.0) == 10.0
    body.finish(Headers())
    assert await body.read() == b""
