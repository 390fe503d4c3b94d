"""Requests sent together: answered in order, and written together where nobody has to be waited for."""

from __future__ import annotations

import asyncio
import sys

import pytest

from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.interfaces.native import NativeApplication
from pierhead.transports.memory import MemoryTransport
from pierhead.transports.server import Server

LARGE = b"x" * 100_000
AT_ONCE = sys.version_info >= (3, 12)  # before, a task begins in the event loop's next turn


def get(*paths: str) -> bytes:
    return b"".join(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for path in paths)


class Wire(MemoryTransport):
    """Notes each write of the server."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.writes: list[bytes] = []
        super().__init__(protocol)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))
        super().write(data)


async def receive(wire: Wire, count: int, ending: bytes) -> list[bytes]:
    """Return the bodies of `count` responses, the last of which ends with `ending`."""
    data = b""
    while data.count(b"HTTP/1.1 200") < count or not data.endswith(ending):
        data += await wire.receive()
    return [part.partition(b"\r\n\r\n")[2] for part in data.split(b"HTTP/1.1 200 OK\r\n")[1:]]


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/{name}")
    async def answer(request: Request, name: str) -> Response:
        return Response(LARGE if name == "large" else name)

    @app.get("/later/{name}")
    async def later(request: Request, name: str) -> Response:
        await asyncio.sleep(0)
        return Response(name)

    return app


async def test_answers_keep_the_order_of_the_requests(app: App) -> None:
    server = Server(NativeApplication(app), Settings())
    await server.start()
    wire = Wire(server.connect())
    wire.send(get("/a", "/b", "/later/c", "/d", "/large", "/later/e", "/f"))
    assert await receive(wire, 7, b"f") == [b"a", b"b", b"c", b"d", LARGE, b"e", b"f"]
    await server.drain(1.0)
    await server.close()


async def test_they_leave_together_up_to_one_that_waits_or_is_large(app: App) -> None:
    server = Server(NativeApplication(app), Settings())
    await server.start()
    wire = Wire(server.connect())
    wire.send(get("/a", "/b", "/c", "/later/d", "/e"))
    assert await receive(wire, 5, b"e") == [b"a", b"b", b"c", b"d", b"e"]
    assert [write.count(b"HTTP/1.1 200") for write in wire.writes] == ([3, 1, 1] if AT_ONCE else [1] * 5)
    wire.writes.clear()
    wire.send(get("/a", "/large", "/b", "/c"))
    assert await receive(wire, 4, b"c") == [b"a", LARGE, b"b", b"c"]
    assert [write.count(b"HTTP/1.1 200") for write in wire.writes] == ([2, 2] if AT_ONCE else [1] * 4)
    await server.drain(1.0)
    await server.close()


async def test_what_was_answered_is_sent_before_the_connection_is_cut(app: App) -> None:
    server = Server(NativeApplication(app), Settings())
    await server.start()
    wire = Wire(server.connect())
    wire.send(get("/a", "/b") + b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    data = b""
    while piece := await wire.receive():
        data += piece
    statuses = [line for line in data.split(b"\r\n") if line.startswith((b"HTTP/1.1", b"aHTTP", b"bHTTP"))]
    assert [line.split(b" ")[1] for line in statuses] == [b"200", b"200", b"400"]
    await server.drain(1.0)
    await server.close()
