"""Requests from web servers: who asked, under which path, and all that HTTP connections promise as well."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.interfaces.native import NativeApplication
from pierhead.protocols.fastcgi import RecordReader, RecordType, encode_pairs, render
from pierhead.transports.memory import MemoryTransport
from pierhead.transports.server import Server
from tests.contract.wire import Answer, Ask, cgi_answer, fastcgi_answer, fastcgi_request, scgi_request

NGINX = ("127.0.0.1", 40000)
STRANGER = ("203.0.113.9", 40000)
RENDER = {"scgi": scgi_request, "fastcgi": fastcgi_request}
READ = {"scgi": cgi_answer, "fastcgi": fastcgi_answer}
BOTH = pytest.mark.parametrize("protocol", RENDER)


@pytest.fixture
def app() -> App:
    app = App()

    @app.route("/facts", methods=["GET", "POST"])
    async def facts(request: Request) -> Response:
        client, server = request.client, request.server
        return Response.json(
            {
                "client": client and list(client),
                "server": server and list(server),
                "scheme": request.scheme,
                "root_path": request.root_path,
                "path": request.path,
                "url": request.url,
                "id": request.id,
                "fields": sorted(name for name, _ in request.headers.items()),
            }
        )

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response.stream(request.stream(), content_type="text/plain")

    @app.post("/ignore")
    async def ignore(request: Request) -> Response:
        return Response.text("did not look")

    @app.get("/wait")
    async def wait(request: Request) -> Response:
        await asyncio.sleep(3600)
        return Response.text("never")

    @app.get("/fails")
    async def fails(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"the beginning"
            raise RuntimeError("and no end")

        return Response.stream(pieces(), content_type="text/plain")

    return app


@contextlib.asynccontextmanager
async def serving(app: App, **settings: Any) -> AsyncIterator[Server]:
    server = Server(NativeApplication(app), Settings(**settings))
    await server.start()
    try:
        yield server
    finally:
        await server.drain(1.0)
        await server.close()


async def read(transport: MemoryTransport) -> bytes:
    """Return all that the server sends up to its end."""
    answer = bytearray()
    while piece := await transport.receive():
        answer += piece
    transport.send_eof()
    return bytes(answer)


async def ask(server: Server, protocol: str, ask: Ask, client: tuple[str, int] = NGINX) -> Answer:
    """Send a request as the web server at `client`."""
    transport = MemoryTransport(server.connect(protocol), client=client)
    transport.send(RENDER[protocol](ask))
    return READ[protocol](await read(transport), ask.method)


async def facts(server: Server, protocol: str, request: Ask, client: tuple[str, int] = NGINX) -> Any:
    answer = await ask(server, protocol, request, client)
    assert answer.status == 200
    return json.loads(answer.body)


@BOTH
async def test_a_trusted_web_servers_client_is_the_client(app: App, protocol: str) -> None:
    async with serving(app) as server:
        found = await facts(server, protocol, Ask(target="/facts", variables={"HTTPS": "on"}))
    assert found["client"] == ["192.0.2.7", 50123]
    assert found["server"] == ["198.51.100.1", 80]
    assert found["scheme"] == "https"
    assert found["url"] == "https://example.org/facts"


@BOTH
async def test_a_web_server_that_is_not_trusted_is_the_client_itself(app: App, protocol: str) -> None:
    split = {"REQUEST_URI": "/facts", "SCRIPT_NAME": "/app", "PATH_INFO": "/facts", "HTTPS": "on"}
    fields = [("X-Forwarded-For", "192.0.2.1"), ("X-Request-Id", "mine")]
    async with serving(app) as server:
        found = await facts(server, protocol, Ask(fields=fields, variables=split), STRANGER)
    assert found["client"] == list(STRANGER)
    assert found["server"] == ["127.0.0.1", 8080]
    assert (found["scheme"], found["root_path"]) == ("http", "")
    assert found["id"] != "mine"
    assert found["fields"] == ["Host", "X-Request-Id"]


@BOTH
async def test_forwarding_fields_count_where_the_web_servers_client_is_trusted(
    app: App, protocol: str
) -> None:
    fields = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https"), ("X-Request-Id", "proxys")]
    outer = Ask(target="/facts", fields=fields, variables={"REMOTE_ADDR": "127.0.0.1"})
    async with serving(app) as server:
        found = await facts(server, protocol, outer)
        assert (found["client"], found["scheme"], found["id"]) == (["192.0.2.1", None], "https", "proxys")
        for stranger in ("203.0.113.9", None):
            claims = Ask(target="/facts", fields=fields, variables={"REMOTE_ADDR": stranger})
            found = await facts(server, protocol, claims)
            assert found["client"][0] == (stranger or "unknown")
            assert found["scheme"] == "http"
            assert found["id"] != "proxys"


@BOTH
async def test_an_application_is_mounted_where_the_web_server_split_the_path(app: App, protocol: str) -> None:
    split = {"SCRIPT_NAME": "/my app", "PATH_INFO": "/facts"}
    async with serving(app) as server:
        found = await facts(server, protocol, Ask(target="/my%20app/facts?x", variables=split))
    assert (found["root_path"], found["path"]) == ("/my%20app", "/facts")
    assert found["url"] == "http://example.org/my%20app/facts?x"


@BOTH
async def test_a_body_is_streamed_there_and_back(app: App, protocol: str) -> None:
    body = bytes(range(256)) * 1000
    async with serving(app) as server:
        answer = await ask(server, protocol, Ask("POST", "/echo", body=body))
    assert answer.body == body


@BOTH
async def test_an_answer_may_come_before_the_body(app: App, protocol: str) -> None:
    begun = RENDER[protocol](Ask("POST", "/ignore", body=b"a" * 100_000))
    async with serving(app) as server:
        transport = MemoryTransport(server.connect(protocol), client=NGINX)
        transport.send(begun[:-99_000])
        while b"did not look" not in await transport.receive():
            pass
        transport.send(begun[-99_000:])
        assert await read(transport) == b""


@BOTH
async def test_limits_are_the_same(app: App, protocol: str) -> None:
    async with serving(app, max_body_bytes=10, max_headers=5) as server:
        assert (await ask(server, protocol, Ask("POST", "/echo", body=b"a" * 11))).status == 413
        assert (await ask(server, protocol, Ask(target="/" + "a" * 9000))).status == 414
        many = [(f"X-{number}", "") for number in range(5)]
        assert (await ask(server, protocol, Ask(fields=many))).status == 431
        refused = await ask(server, protocol, Ask(method="GET /"))
        assert refused.status == 400
        assert refused.one("Content-Type") == "application/problem+json"


@BOTH
async def test_deadlines_are_the_same(app: App, protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    request = RENDER[protocol](Ask(target="/wait"))
    async with serving(app, head_timeout_s=0.1, handler_timeout_s=0.1) as server:
        slow = MemoryTransport(server.connect(protocol), client=NGINX)
        slow.send(request[:40])
        assert READ[protocol](await read(slow)).status == 408
        silent = MemoryTransport(server.connect(protocol), client=NGINX)
        assert await read(silent) == b""
        assert (await ask(server, protocol, Ask(target="/wait"))).status == 504
    assert "took longer than handler_timeout_s" in caplog.text


@BOTH
async def test_a_body_that_stops_coming_is_408(app: App, protocol: str) -> None:
    request = RENDER[protocol](Ask("POST", "/echo", body=b"a" * 1000))
    async with serving(app, body_timeout_s=0.1) as server:
        transport = MemoryTransport(server.connect(protocol), client=NGINX)
        transport.send(request[:-900])
        # The head of the response is out already: the rest is cut off.
        assert b"Status: 200 OK" in await read(transport)


@BOTH
async def test_a_connection_too_many_is_503(app: App, protocol: str) -> None:
    async with serving(app, max_connections=1) as server:
        first = MemoryTransport(server.connect(protocol), client=NGINX)
        answer = await ask(server, protocol, Ask())
        assert (answer.status, answer.one("Retry-After")) == (503, "1")
        first.disconnect()


@BOTH
async def test_a_response_that_fails_is_cut_off(
    app: App, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app) as server:
        transport = MemoryTransport(server.connect(protocol), client=NGINX)
        transport.send(RENDER[protocol](Ask(target="/fails")))
        data = await read(transport)
    assert b"the beginning" in data
    assert all(
        record.type == RecordType.STDOUT for record in RecordReader().feed(data if data[0] == 1 else b"")
    )
    assert "and no end" in caplog.text


@BOTH
async def test_a_response_that_fails_ends_with_a_reset(app: App, protocol: str) -> None:
    """Its mere end would be that of a whole response."""
    async with serving(app) as server:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            await server.listen(listening.dup(), f"{protocol}://127.0.0.1:0")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(RENDER[protocol](Ask(target="/fails")))
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()


async def test_a_kept_connection_serves_one_request_after_the_other(app: App) -> None:
    async with serving(app) as server:
        transport = MemoryTransport(server.connect("fastcgi"), client=NGINX)
        for number in range(3):
            transport.send(fastcgi_request(Ask("POST", "/echo", body=b"%d" % number), keep=True))
            data = bytearray()
            while not any(
                record.type == RecordType.END_REQUEST for record in RecordReader().feed(bytes(data))
            ):
                data += await transport.receive()
            assert fastcgi_answer(bytes(data)).body == b"%d" % number
        transport.disconnect()


async def test_a_kept_connection_is_given_up_when_the_server_drains(app: App) -> None:
    async with serving(app) as server:
        transport = MemoryTransport(server.connect("fastcgi"), client=NGINX)
        transport.send(fastcgi_request(Ask("POST", "/ignore"), keep=True))
        await transport.receive()
        draining = asyncio.ensure_future(server.drain(60.0))
        assert await read(transport) == b""
        assert await draining == 0


async def test_a_web_server_may_ask_and_abort(app: App) -> None:
    async with serving(app) as server:
        transport = MemoryTransport(server.connect("fastcgi"), client=NGINX)
        transport.send(render(RecordType.GET_VALUES, 0, encode_pairs([(b"FCGI_MAX_CONNS", b"")])))
        (record,) = RecordReader().feed(await transport.receive())
        assert record.content == encode_pairs([(b"FCGI_MAX_CONNS", b"10000")])
        transport.send(fastcgi_request(Ask(target="/wait"), keep=True))
        transport.send(render(RecordType.ABORT_REQUEST, 1))
        assert [record.type for record in RecordReader().feed(await read(transport))] == [
            RecordType.STDOUT,
            RecordType.END_REQUEST,
        ]


async def test_answers_that_nobody_reads_do_not_pile_up(app: App) -> None:
    asking = render(RecordType.GET_VALUES, 0, encode_pairs([(b"FCGI_MAX_CONNS", b"")])) * 1000
    async with serving(app) as server:
        transport = MemoryTransport(server.connect("fastcgi"), client=NGINX)
        for _ in range(10):
            transport.send(asking)
        assert transport.is_closing()


async def test_nothing_is_answered_after_a_refusal(app: App) -> None:
    asking = render(RecordType.GET_VALUES, 0, encode_pairs([(b"FCGI_MAX_CONNS", b"")]))
    malformed = fastcgi_request(Ask(), keep=True)[:16] + render(RecordType.STDIN, 1, b"before its head")
    async with serving(app) as server:
        transport = MemoryTransport(server.connect("fastcgi"), client=NGINX)
        transport.send(asking + malformed)
        answered = RecordReader().feed(await read(transport))
    assert [record.type for record in answered][-1] == RecordType.END_REQUEST


async def test_what_is_no_fastcgi_is_closed(app: App) -> None:
    async with serving(app) as server:
        transport = MemoryTransport(server.connect("fastcgi"), client=NGINX)
        transport.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await read(transport) == b""


class _Reset(MemoryTransport):
    """A connection that the peer has reset, which shows when its end is written."""

    def write_eof(self) -> None:
        raise OSError(107, "Transport endpoint is not connected")


@BOTH
async def test_a_web_server_that_resets_once_it_has_all_is_no_failure(
    app: App, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app) as server:
        transport = _Reset(server.connect(protocol), client=NGINX)
        transport.send(RENDER[protocol](Ask("POST", "/ignore")))
        assert READ[protocol](await read(transport)).body == b"did not look"
    assert caplog.text == ""
