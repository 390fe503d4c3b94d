"""Limits of listeners: whose connections are held to which, and what all connections have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.config.listen import ListenURL
from pierhead.interfaces.base import Application
from pierhead.interfaces.layer import Layer
from pierhead.interfaces.native import NativeApplication
from pierhead.transports.memory import MemoryTransport
from pierhead.transports.server import Server

NARROW = ListenURL.parse("http://127.0.0.1:0?max_headers=2&keep_alive_timeout_s=1s").limits
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Other(Layer):
    """Passes requests on, and notes them."""

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self.asked: list[str] = []

    async def respond(self, request: Request) -> Response | None:
        self.asked.append(request.path)
        return await self.application.respond(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    app = App()

    @app.get("/")
    async def greet(request: Request) -> Response:
        return Response.text("hello")

    @app.get("/wait")
    async def wait(request: Request) -> None:
        await asyncio.Event().wait()

    server = Server(NativeApplication(app), Settings())
    await server.start()
    try:
        yield server
    finally:
        await server.drain(0.0)
        await server.close()


def test_listeners_that_have_the_same_limits_share_them(server: Server) -> None:
    same = ListenURL.parse("http://127.0.0.1:1?max_headers=2&keep_alive_timeout_s=1s")
    other = ListenURL.parse("http://127.0.0.1:1?max_headers=3")
    assert server.limits_of(NARROW) is server.limits_of(same.limits)
    assert server.limits_of(NARROW) is not server.limits_of(other.limits)
    assert server.limits_of(ListenURL.parse("http://127.0.0.1:1").limits) is server.limits


async def test_a_connection_has_the_limits_of_its_listener_and_everything_else_of_the_server(
    server: Server,
) -> None:
    limits = server.limits_of(NARROW)
    assert limits.idle_deadline == server.now + 1 < server.limits.idle_deadline
    wide, narrow = MemoryTransport(server.connect()), MemoryTransport(server.connect("http", limits))
    for transport, status in ((wide, b"200"), (narrow, b"431")):
        transport.send(GET.replace(b"\r\n\r\n", b"\r\nA: 1\r\nB: 2\r\n\r\n"))
        answer = await transport.receive()
        assert answer[9:12] == status
        assert server.stamp in answer
    assert server.connections == 2
    assert server.meter.statuses == {200: 1, 431: 1}
    server.draining = True
    wide.send(GET)
    assert b"Connection: close\r\n" in await wide.receive()


async def test_a_listener_may_have_an_application_and_a_count_of_requests_of_its_own(server: Server) -> None:
    other = Other(server.application)
    limits = server.limits_of(NARROW, other)
    ended: list[str] = []
    limits.in_flight.ended = lambda: ended.append("own")
    server.in_flight.ended = lambda: ended.append("common")
    for connection in (server.connect(), server.connect("http", limits)):
        MemoryTransport(connection).send(GET.replace(b"/", b"/wait", 1))
    assert (len(server.in_flight.tasks), len(limits.in_flight.tasks), server.in_progress) == (1, 1, 2)
    await server.drain(0.0)
    assert server.in_progress == 0
    assert sorted(ended) == ["common", "own"]
    assert other.asked == ["/wait"]
