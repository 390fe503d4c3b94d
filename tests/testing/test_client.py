"""The client: what it sends is what a server gets, and what comes back is what a test sees."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from pierhead import App, Request, Response, WebSocket, WebSocketClosed
from pierhead.testing import Client, WebSocketRejected, handle_raw


@pytest.fixture
def app() -> App:
    app = App()

    @app.endpoint(priority=1)
    async def facts(request: Request) -> dict[str, Any] | None:
        if request.raw_path != "/facts":
            return None
        assert request.client is not None
        return {
            "method": request.method,
            "query": list(request.query.items()),
            "host": request.host,
            "scheme": request.scheme,
            "client": list(request.client),
            "headers": [list(pair) for pair in request.headers.items()],
            "body": (await request.body()).decode("latin-1"),
        }

    @app.post("/form")
    async def form(request: Request) -> dict[str, Any]:
        form = await request.form()
        files = {
            name: [one.filename, str(one.content_type), (await one.read()).decode()]
            for name, one in form.files.items()
        }
        return {"fields": list(form.items()), "files": files}

    @app.get("/stream")
    async def stream(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        return Response.stream(pieces())

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        async for message in socket:
            await socket.send(message)

    return app


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_has_its_name(app: App, method: str) -> None:
    with Client(app) as client:
        response = getattr(client, method.lower())("/facts")
    assert response.status == 200
    assert response.body == b"" if method == "HEAD" else response.json()["method"] == method


def test_a_request_says_what_it_is_told(app: App) -> None:
    with Client(app, base_url="https://shop.example", client=("192.0.2.1", 5)) as client:
        found = client.get("/facts?a=1", params={"b": [2, 3]}, headers=[("X", "1"), ("X", "2")]).json()
    assert found["query"] == [["a", "1"], ["b", "2"], ["b", "3"]]
    assert (found["host"], found["scheme"], found["client"]) == ("shop.example", "https", ["192.0.2.1", 5])
    assert found["headers"] == [["Host", "shop.example"], ["X", "1"], ["X", "2"]]


@pytest.mark.parametrize(
    ("options", "kind", "length", "body"),
    [
        ({"content": b"bytes"}, None, "5", "bytes"),
        ({"content": "täxt"}, None, "5", "tÃ¤xt"),
        ({"content": [b"chun", b"ked"]}, None, None, "chunked"),
        ({"json": {"a": 1}}, "application/json", "8", '{"a": 1}'),
        ({"data": {"a": 1, "b": "x y"}}, "application/x-www-form-urlencoded", "9", "a=1&b=x+y"),
        ({}, None, None, ""),
    ],
)
def test_bodies(app: App, options: dict[str, Any], kind: str | None, length: str | None, body: str) -> None:
    with Client(app) as client:
        found = client.post("/facts", **options).json()
    headers = dict(found["headers"])
    assert (headers.get("Content-Type"), headers.get("Content-Length"), found["body"]) == (kind, length, body)


def test_forms_with_files(app: App) -> None:
    with Client(app) as client:
        found = client.post(
            "/form", data={"a": "1"}, files={"f": ("name.txt", b"content", "text/plain")}
        ).json()
    assert found == {"fields": [["a", "1"]], "files": {"f": ["name.txt", "text/plain", "content"]}}


def test_a_stream_is_read_piece_by_piece(app: App) -> None:
    with Client(app) as client, client.stream("GET", "/stream") as response:
        assert response.status == 200
        assert list(response) == [b"one", b"two"]


def test_websockets(app: App) -> None:
    with Client(app) as client:
        with client.websocket("/echo") as socket:
            socket.send("hello")
            assert socket.receive() == "hello"
            socket.close(3000, "bye")
            assert socket.close_code == 3000
            with pytest.raises(WebSocketClosed):
                socket.receive()
        with pytest.raises(WebSocketRejected, match="rejected with 404"):
            client.websocket("/nothing").__enter__()


def test_the_health_paths_are_answered_as_by_a_server(app: App) -> None:
    with Client(app) as client:
        assert (client.get("/healthz").text, client.get("/readyz").text) == ("ok\n", "ready\n")
    with Client(app, health_path="") as client:
        assert client.get("/healthz").status == 404
    assert handle_raw(app, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"ok\n")


def test_trusted_proxies_are_believed_and_others_are_not(app: App) -> None:
    fields = {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
    }
    with Client(app) as client:
        found = client.get("/facts", headers=fields).json()
        assert (found["client"][0], found["scheme"], found["host"]) == ("192.0.2.7", "https", "shop.example")
    with Client(app, client=("203.0.113.1", 1)) as client:
        found = client.get("/facts", headers=fields).json()
        assert (found["client"][0], found["scheme"], found["host"]) == ("203.0.113.1", "http", "testserver")


def test_it_starts_and_stops_the_application() -> None:
    log: list[str] = []
    app = App()
    app.on_start(per="master")(lambda: log.append("start master"))
    app.on_start(lambda: log.append("start"))
    app.on_stop(lambda: log.append("stop"))
    app.on_stop(per="master")(lambda: log.append("stop master"))
    client = Client(app)
    assert log == []
    client.get("/")  # starts by itself
    assert log == ["start master", "start"]
    client.close()
    client.close()
    assert log == ["start master", "start", "stop", "stop master"]
    with client:
        assert client.get("/").status == 404
    assert len(log) == 8


def test_a_start_that_fails_leaves_nothing_behind() -> None:
    app = App()

    @app.on_start
    async def start() -> None:
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"), Client(app):
        pass
    assert "pierhead-client" not in {thread.name for thread in threading.enumerate()}


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"asgi"})


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"wsgi"]


@pytest.mark.parametrize(("app", "expected"), [(asgi, b"asgi"), (wsgi, b"wsgi")])
def test_any_kind_of_application(app: Any, expected: bytes) -> None:
    with Client(app) as client:
        assert client.get("/").body == expected
    assert handle_raw(app, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").endswith(expected)


def test_what_is_no_application_is_told_at_once() -> None:
    with pytest.raises(TypeError, match="not a pierhead"):
        Client(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="threds"):
        Client(App(), threds=1)


def test_a_response_that_never_comes() -> None:
    app = App()

    @app.get("/")
    async def wait(request: Request) -> str:
        await asyncio.get_running_loop().create_future()
        return ""

    with Client(app, timeout_s=0.2, handler_timeout_s=0.5) as client, pytest.raises(TimeoutError):
        client.get("/")


def test_a_response_that_breaks_off(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    async def broken(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"half"
            raise ValueError("broken")

        return Response.stream(pieces())

    with Client(app) as client, pytest.raises(ConnectionError, match="broken off"):
        client.get("/")
