"""What the server settles before an application sees a request, and the order of its life."""

from __future__ import annotations

import pytest

from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.interfaces.native import NativeApplication
from pierhead.testing import Client
from pierhead.transports.memory import MemoryTransport
from pierhead.transports.server import Server


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/id")
    async def identify(request: Request) -> Response:
        return Response.text(request.id)

    @app.get("/field")
    async def field(request: Request) -> Response:
        return Response.text(request.headers.get("X-Request-Id", "none"))

    return app


@pytest.mark.parametrize("given", ["abc", "a" * 128, "Root=1-67891233:x@y/z+_.-"])
def test_a_trusted_proxys_request_id_is_kept_and_goes_back(app: App, given: str) -> None:
    with Client(app) as client:
        answer = client.get("/id", headers={"X-Request-Id": given})
    assert answer.text == given
    assert answer.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "a,b", 'a"b'])
def test_a_request_id_that_could_do_harm_is_replaced(app: App, given: str) -> None:
    with Client(app) as client:
        answer = client.get("/id", headers={"X-Request-Id": given})
    assert answer.text
    assert answer.text != given
    assert "X-Request-Id" not in answer.headers


def test_a_strangers_request_id_is_not_believed(app: App) -> None:
    with Client(app, trusted_proxies=()) as client:
        answer = client.get("/id", headers={"X-Request-Id": "abc"})
        assert client.get("/field", headers={"X-Request-Id": "abc"}).text == "abc"  # a field as any other
    assert answer.text != "abc"
    assert "X-Request-Id" not in answer.headers


def test_the_field_of_the_request_id_is_a_setting(app: App) -> None:
    fields = {"X-Request-Id": "abc", "X-Trace": "def"}
    with Client(app, request_id_header="X-Trace") as client:
        assert client.get("/id", headers=fields).text == "def"
    with Client(app, request_id_header="") as client:
        assert client.get("/id", headers=fields).text not in fields.values()


def test_each_request_has_an_id_of_its_own(app: App) -> None:
    with Client(app) as client:
        assert len({client.get("/id").text for _ in range(20)}) == 20


async def test_a_server_is_started_once(app: App) -> None:
    starts = []
    app.on_start(lambda: starts.append("start"))
    server = Server(NativeApplication(app), Settings())
    ready = [server.ready]
    await server.start()
    ready.append(server.ready)
    with pytest.raises(RuntimeError, match="started already"):
        await server.start()
    await server.drain(0.0)
    ready.append(server.ready)
    await server.close()
    assert len(starts) == 1
    assert ready == [False, True, False]


async def test_who_goes_on_sending_after_a_refusal_is_heard_out_to_a_limit(app: App) -> None:
    server = Server(NativeApplication(app), Settings(max_body_bytes=10))
    await server.start()
    client = MemoryTransport(server.connect())
    try:
        client.send(b"POST /id HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n")
        assert (await client.receive()).startswith(b"HTTP/1.1 413 ")
        for _ in range(16):
            client.send(bytes(1 << 20))
            assert not client.is_closing(), "a reset now could overtake the response"
        client.send(b"x")
        assert client.is_closing()
    finally:
        await server.drain(1.0)
        await server.close()
