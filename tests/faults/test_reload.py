"""Reloads of an application that takes its time, under mixed load; many of them; without a leak."""

from __future__ import annotations

import base64
import os
import signal
import socket
import time
from functools import partial
from pathlib import Path

import pytest

from tests.supervisor.harness import APP, Load, Pierhead, alive, eventually

SECONDS = float(os.environ.get("PIERHEAD_TEST_RELOAD_SECONDS", "60"))
RELOADS = int(os.environ.get("PIERHEAD_TEST_RELOADS", "50"))
"""The whole of it; who is in a hurry sets PIERHEAD_TEST_RELOAD_SECONDS=3 PIERHEAD_TEST_RELOADS=5."""

SLOW = (
    "import time\ntime.sleep(1)\n"
    + APP
    + """
@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for message in socket:
        await socket.send(message)
"""
)


def open_websocket(server: Pierhead) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), 60)
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(
        b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key.encode() + b"\r\n\r\n"
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return client


def open_events(server: Pierhead) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), 60)
    client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
    return client


def read_all(client: socket.socket) -> bytes:
    received = b""
    while piece := client.recv(65536):
        received += piece
    return received


def longest_wait_ms(load: Load) -> float:
    return max(load.seconds) * 1000


def test_code_that_takes_a_second_to_import_is_taken_up_without_an_error(tmp_path: Path) -> None:
    with Pierhead(tmp_path, source=SLOW) as server, open_events(server) as events:
        with open_websocket(server) as websocket, Load(server).running() as load:
            load.more()
            before = longest_wait_ms(load)
            server.write(SLOW.replace('"one"', '"two"'))
            old = server.workers()
            server.signal(signal.SIGHUP)
            server.wait_for_log("generation 2 serves")
            load.more()
            frame = websocket.recv(2)
            assert frame[0] == 0x88, "a close frame"
            assert websocket.recv(2) == (1012).to_bytes(2, "big"), "service restart"
            websocket.recv(frame[1] - 2)
            websocket.sendall(bytes([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xF4]))
            assert websocket.recv(1) == b""
            assert read_all(events).endswith(b"0\r\n\r\n"), "ended, not cut"
            eventually(lambda: not any(map(alive, old)), "the old workers leave")
        print(f"longest answer before {before:.0f} ms, over the reload {longest_wait_ms(load):.0f} ms")
        assert load.failed == []
        assert b'"two"' in load.bodies[-1]


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def memory_kib(pid: int) -> int:
    """Return the memory of its own that a process has; files come and go in it as the system likes."""
    facts = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(facts["RssAnon"].split()[0])


@pytest.mark.timeout(600 + SECONDS + 15 * RELOADS)
def test_reloads_one_after_the_other_lose_nothing_and_leak_nothing(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        master = server.process.pid
        with Load(server, clients=2).running() as load:
            reload_once(server, 2)  # what is only made once is made now
            eventually(partial(only_one_generation, server), "the old workers leave")
            fds, memory = descriptors(master), memory_kib(master)
            until = time.monotonic() + SECONDS
            number = 2
            while number < 2 + RELOADS or time.monotonic() < until:
                number += 1
                reload_once(server, number)
            eventually(partial(only_one_generation, server), "the old workers leave")
            load.more()
        print(f"{number - 2} reloads, {load.answered} requests answered")
        assert load.failed == []
        assert descriptors(master) <= fds
        assert memory_kib(master) < memory + 2048


def reload_once(server: Pierhead, number: int) -> None:
    server.signal(signal.SIGHUP)
    server.wait_for_log(f"generation {number} serves")


def only_one_generation(server: Pierhead) -> bool:
    return len(server.note_processes()) == 3
