"""An App is an ASGI application too, and answers as under its own server."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pierhead import App, HTTPError, Request, Response, WebSocket, WebSocketClosed
from pierhead.interfaces.asgi.scope import Message, Scope
from pierhead.testing import Client, WebSocketRejected

DEADLINE_S = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file.bin"
    file.write_bytes(bytes(range(256)) * 4096)
    return file


@pytest.fixture
def app(file: Path) -> App:
    app = App("shop")
    inner = App("inner", max_body_bytes=10)
    app.mount("/in ner".replace(" ", "%20"), inner)

    @app.on_start
    def start() -> None:
        app.state.pool = "the pool"

    @app.get("/")
    async def index(request: Request) -> str:
        return "hello"

    @app.get("/facts/{name}")
    async def facts(request: Request, name: str) -> dict[str, Any]:
        assert request.client is not None
        return {
            "name": name,
            "path": request.path,
            "raw_path": request.raw_path,
            "query": list(request.query.items()),
            "url": request.url,
            "client": request.client.host,
            "version": request.http_version,
            "scheme": request.scheme,
            "cookies": request.cookies,
            "pool": app.state.pool,
        }

    @app.get("/blocking")
    def blocking(request: Request) -> str:
        return threading.current_thread().name.rpartition("-")[0]

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body(), 201, {"Location": "/1"})

    @app.post("/form")
    async def form(request: Request) -> list[Any]:
        form = await request.form()
        return [
            list(form.items()),
            [(name, await upload.read(4)) for name, upload in form.files.items()] != [],
        ]

    @app.get("/stream")
    async def stream(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"%d\n" % number

        return Response.stream(pieces())

    @app.get("/lines")
    async def lines(request: Request) -> Response:
        def pieces() -> Iterator[bytes]:
            yield b"one"
            yield b"two"

        return Response.stream(pieces())

    @app.get("/file")
    async def whole(request: Request) -> Response:
        return Response.file(file)

    @app.get("/broken")
    async def broken(request: Request) -> None:
        raise ValueError("broken")

    @app.get("/refused")
    async def refused(request: Request) -> None:
        raise HTTPError(403, "not you", headers={"X-Why": "because"})

    @app.delete("/")
    async def delete(request: Request) -> Response:
        response = Response.empty()
        response.set_cookie("a", "1")
        return response

    @app.websocket("/chat/{room}")
    async def chat(socket: WebSocket, room: str) -> None:
        await socket.accept(socket.subprotocols[0] if socket.subprotocols else None, {"X-Room": room})
        async for message in socket:
            await socket.send(message)

    @app.websocket("/private")
    async def private(socket: WebSocket) -> None:
        raise HTTPError(401, "log in")

    @app.websocket("/leaves")
    async def leaves(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close(3001, "enough")

    @inner.post("/echo")
    async def small(request: Request) -> dict[str, Any]:
        return {"root": request.root_path, "path": request.path, "body": (await request.body()).decode()}

    return app


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/", {}),
    ("HEAD", "/", {}),
    ("DELETE", "/", {}),
    ("OPTIONS", "/", {}),
    ("OPTIONS", "*", {}),
    ("PUT", "/", {"content": b"x"}),
    ("GET", "/missing", {}),
    ("GET", "/facts/caf%C3%A9%2Fx?a=1&a=%20", {"headers": {"Cookie": "a=1; b=2"}}),
    ("GET", "/blocking", {}),
    ("POST", "/echo", {"content": b"x" * 300_000}),
    ("POST", "/echo", {"content": [b"chunk", b"ed"]}),
    ("POST", "/echo", {"content": b""}),
    ("POST", "/form", {"data": {"a": "1"}}),
    ("POST", "/form", {"data": {"a": "1"}, "files": {"f": ("f.txt", b"x" * 100_000, "text/plain")}}),
    ("POST", "/form", {"json": 1}),
    ("GET", "/stream", {}),
    ("HEAD", "/stream", {}),
    ("GET", "/lines", {}),
    ("GET", "/file", {}),
    ("HEAD", "/file", {}),
    ("GET", "/file", {"headers": {"Range": "bytes=10-19"}}),
    ("GET", "/broken", {}),
    ("GET", "/refused", {}),
    ("POST", "/in%20ner/echo", {"content": b"small"}),
    ("POST", "/in%20ner/echo", {"content": [b"chunks that are", b" too many"]}),
    ("POST", "/in%20ner/echo", {"content": b"x" * 11}),
]


@pytest.mark.parametrize(("method", "target", "options"), REQUESTS, ids=lambda value: str(value)[:30])
def test_the_answer_is_the_same(app: App, method: str, target: str, options: dict[str, Any]) -> None:
    answers = []
    for interface in ("native", "asgi"):
        with Client(app, interface=interface) as client:
            response = client.request(method, target, **options)
        fields = sorted((name.lower(), value) for name, value in response.headers if name != "Date")
        answers.append((response.status, fields, response.body))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("interface", ["native", "asgi"])
def test_websockets(app: App, interface: str) -> None:
    with Client(app, interface=interface) as client:
        with client.websocket("/chat/1", subprotocols=["chat"]) as opened:
            assert (opened.subprotocol, opened.headers["X-Room"]) == ("chat", "1")
            opened.send("text")
            opened.send(b"bytes")
            assert (opened.receive(), opened.receive()) == ("text", b"bytes")
        with pytest.raises(WebSocketRejected) as rejected:
            client.websocket("/private").__enter__()
        assert (rejected.value.response.status, rejected.value.response.json()["detail"]) == (401, "log in")
        with client.websocket("/leaves") as opened, pytest.raises(WebSocketClosed) as closed:
            opened.receive()
        assert (closed.value.code, closed.value.reason) == (3001, "enough")


async def test_a_server_without_denial_responses_is_told_to_close(app: App) -> None:
    sent: list[Message] = []
    scope: Scope = {"type": "websocket", "http_version": "1.1", "path": "/private", "headers": []}

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent == [{"type": "websocket.close"}]


@pytest.mark.parametrize("unread", [None, b"hello"])
def test_a_client_that_leaves_ends_a_stream_that_sends_nothing(unread: bytes | None) -> None:
    app = App()
    entered, ended = threading.Event(), threading.Event()

    @app.route("/", methods=["GET", "POST"])
    async def events(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            entered.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.set()

        return Response.stream(pieces())

    with Client(app, interface="asgi") as client:
        with client.stream("GET" if unread is None else "POST", "/", content=unread) as response:
            next(iter(response))
            assert entered.wait(DEADLINE_S)
        assert ended.wait(DEADLINE_S)


def test_a_body_may_be_read_while_the_response_is_sent() -> None:
    app = App()

    @app.post("/")
    async def echo(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            await asyncio.sleep(0)  # somebody waits for the client to leave by now
            async for piece in request.stream():
                yield piece.upper()

        return Response.stream(pieces())

    body = [b"a" * 100_000] * 20
    with Client(app, interface="asgi") as client:
        assert client.post("/", content=body).body == b"A" * 2_000_000


def test_a_start_that_fails_fails_the_server() -> None:
    app = App()
    stopped: list[str] = []
    app.on_start(per="master")(lambda: None)
    app.on_stop(per="master")(lambda: stopped.append("master"))

    @app.on_start
    async def start() -> None:
        raise LookupError("no database")

    with pytest.raises(Exception, match="no database"), Client(app, interface="asgi"):
        pass
    assert stopped == ["master"]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"path": "/shop/a b", "root_path": "/shop"}, ("/shop", "/a%20b")),
        ({"path": "/a", "root_path": "/shop"}, ("/shop", "/a")),
        ({"path": "/shop", "root_path": "/shop", "raw_path": b"/shop"}, ("/shop", "/")),
        ({"path": "/a/b", "raw_path": b"/a%2Fb?x"}, ("", "/a%2Fb")),
        ({"path": "/shopping", "root_path": "/shop"}, ("/shop", "/shopping")),
    ],
)
async def test_servers_say_paths_in_different_ways(facts: dict[str, Any], expected: tuple[str, str]) -> None:
    app = App()
    seen: list[tuple[str, str]] = []

    @app.get("/{rest:path}")
    async def show(request: Request, rest: str) -> str:
        seen.append((request.root_path, request.raw_path))
        return ""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None: ...

    await app({"type": "http", "http_version": "1.1", "method": "GET", "headers": [], **facts}, receive, send)
    assert seen == [expected]


async def test_it_runs_under_another_server(app: App) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    stop = asyncio.Event()
    config = Config()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config.bind = [f"fd://{os.dup(listening.fileno())}"]  # which it closes
        config.accesslog = config.errorlog = None
        serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
        async with asyncio.timeout(DEADLINE_S):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        stop.set()
        await serving
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"location: /1" in answer
    assert answer.endswith(b"hello")


async def test_another_type_of_scope_is_refused(app: App) -> None:
    async def nothing(*args: Any) -> Any: ...

    with pytest.raises(ValueError, match="a scope of type 'mail'"):
        await app({"type": "mail"}, nothing, nothing)
