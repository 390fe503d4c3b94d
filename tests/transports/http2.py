"""An application and a client, joined in memory by HTTP/2: what the tests of it share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.errors import ClientDisconnected
from pierhead.interfaces.base import Application
from pierhead.interfaces.native import NativeApplication
from pierhead.transports.http2 import Http2Shell
from pierhead.transports.memory import MemoryTransport
from pierhead.transports.server import Server
from tests.http2peer import Peer

TIMEOUT_S = 60.0


class Stage:
    """What the application and the test tell each other."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.left: list[str] = []
        self.sent = 0
        self.greeted = 0


def make_app(stage: Stage) -> App:
    app = App()

    @app.get("/")
    async def hello(request: Request) -> Response:
        stage.greeted += 1
        return Response.text(
            f"{request.method} HTTP/{request.http_version} {request.scheme}://{request.host}"
        )

    @app.get("/wait")
    async def wait(request: Request) -> Response:
        stage.begun.set()
        await stage.go.wait()
        return Response.text("waited")

    @app.get("/leave")
    async def leave(request: Request) -> Response:
        stage.begun.set()
        assert request.channel is not None
        await request.channel.disconnect()
        stage.left.append("told")
        return Response.text("nobody reads this")

    @app.post("/")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.post("/first")
    async def first(request: Request) -> Response:
        async for piece in request.stream():
            return Response(piece[:5])
        return Response.text("nothing")

    @app.post("/ignore")
    async def ignore(request: Request) -> Response:
        return Response.text("did not look")

    @app.post("/slow")
    async def slow(request: Request) -> Response:
        await stage.go.wait()
        try:
            return Response(str(len(await request.body())).encode())
        except ClientDisconnected:
            stage.left.append("in the body")
            raise

    @app.post("/trailers")
    async def trailers(request: Request) -> Response:
        await request.body()
        return Response.json(dict(request.trailers.items()))

    @app.get("/big")
    async def big(request: Request) -> Response:
        return Response(b"x" * 300_000)

    @app.get("/pieces")
    async def pieces(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                for _ in range(1000):
                    stage.sent += 1
                    yield b"x" * 1000
            finally:
                stage.left.append("stream closed")

        return Response(body())

    @app.get("/events")
    async def events(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            stage.begun.set()
            await asyncio.Event().wait()

        return Response(body(), headers={"Content-Type": "text/event-stream"})

    @app.get("/broken")
    async def broken(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"begin"
            raise ValueError("no more")

        return Response(body())

    @app.get("/wrong")
    async def wrong(request: Request) -> Response:
        return Response(b"abc", headers={"Content-Length": "5"})

    return app


class Link:
    """A client, joined in memory with the server's end of a connection."""

    def __init__(self, server: Server, transport: MemoryTransport, peer: Peer) -> None:
        self.server = server
        self.transport = transport
        self.peer = peer

    @property
    def shell(self) -> Http2Shell:
        """The server's end."""
        (connection,) = self.server._connections
        assert isinstance(connection.upgraded, Http2Shell)
        return connection.upgraded

    def send(self) -> None:
        """Send what the client has to send."""
        if data := self.peer.out():
            self.transport.send(data)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Exchange bytes until a condition holds, or the server has closed."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                self.send()
                if condition():
                    return
                data = await self.transport.receive()
                assert data, "the server has closed"
                self.peer.receive(data)

    async def closed(self) -> None:
        """Exchange bytes until the server has closed."""
        async with asyncio.timeout(TIMEOUT_S):
            self.send()
            while data := await self.transport.receive():
                self.peer.receive(data)
                self.send()

    async def answer(self, stream_id: int) -> bytes:
        """Return the body of a complete answer."""
        answer = self.peer.answers[stream_id]
        await self.until(lambda: answer.ended)
        return answer.body

    def later(self, seconds: float) -> None:
        """Have so much time go by."""
        server = self.server
        server._set_time(server.now + seconds)
        for connection in list(server._connections):
            connection.tick(server.now)


@contextlib.asynccontextmanager
async def linked(
    application: App | Application, *, window: int | None = None, **settings: Any
) -> AsyncIterator[Link]:
    chosen = NativeApplication(application) if isinstance(application, App) else application
    records: list[tuple[Any, ...]] = []
    server = Server(chosen, Settings(**settings), record=lambda *args: records.append(args))
    await server.start()
    assert server._sweep is not None
    server._sweep.cancel()  # the test says what time it is
    transport = MemoryTransport(server.connect())
    link = Link(server, transport, Peer(window=window))
    try:
        yield link
    finally:
        transport.disconnect()
        await server.drain(TIMEOUT_S)
        await server.close()


async def turns(condition: Callable[[], Any]) -> None:
    """Let the loop turn until a condition holds."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - there is no event for what the server does by itself
            await asyncio.sleep(0)
