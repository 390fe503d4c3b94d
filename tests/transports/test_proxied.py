"""Connections that begin with a PROXY header, plain and over TLS; and who may not say so."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.interfaces.native import NativeApplication
from pierhead.transports.server import Server
from tests.certificates import make_certificate
from tests.contract.wire import Ask, http_answer, http_request

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\n"
OVER_TLS = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11"
    + struct.pack(">H4s4sHH", 20, b"\xc0\x00\x02\x07", b"\xc6\x33\x64\x01", 50123, 443)
    + b"\x20\x00\x05\x01\x00\x00\x00\x00"
)
GET = http_request(Ask(fields=[("Connection", "close"), ("X-Forwarded-For", "203.0.113.1")]))


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    async def facts(request: Request) -> Response:
        return Response.json([request.client, request.server, request.scheme])

    return app


@contextlib.asynccontextmanager
async def serving(app: App, url: str = "http://127.0.0.1:0?proxy", **settings: Any) -> AsyncIterator[int]:
    """Serve and yield the port."""
    server = Server(NativeApplication(app), Settings(**settings))
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    try:
        await server.serve([listening], [url])
        yield port
        await server.drain(60.0)
    finally:
        await server.close()


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send pieces, each by itself, and return what comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    "pieces",
    [(HEADER + GET,), (HEADER, GET), (HEADER[:20], HEADER[20:] + GET), (HEADER[:-1], HEADER[-1:], GET)],
)
async def test_the_client_is_who_the_header_names(app: App, pieces: tuple[bytes, ...]) -> None:
    async with serving(app) as port:
        answer = http_answer(await exchange(port, *pieces))
    assert answer.body == b'[["192.0.2.7",50123],["198.51.100.1",443],"http"]'


async def test_its_forwarding_fields_count_where_it_is_a_trusted_proxy(app: App) -> None:
    async with serving(app, trusted_proxies=("loopback", "192.0.2.0/24")) as port:
        answer = http_answer(await exchange(port, HEADER + GET))
    assert answer.body.startswith(b'[["203.0.113.1",null]')


async def test_a_header_may_say_that_the_client_used_tls(app: App) -> None:
    async with serving(app) as port:
        answer = http_answer(await exchange(port, OVER_TLS + GET))
    assert answer.body == b'[["192.0.2.7",50123],["198.51.100.1",443],"https"]'


async def test_a_proxys_own_connection_is_its_own(app: App) -> None:
    async with serving(app) as port:
        answer = http_answer(await exchange(port, b"PROXY UNKNOWN\r\n" + GET.replace(b"X-F", b"Y-F")))
    assert answer.body.startswith(b'[["127.0.0.1",')


@pytest.mark.parametrize(
    "sent", [GET, b"PROXY TCP4 nonsense\r\n" + GET, b"\r\n\r\n\x00\r\nQUIT\n\x31" + bytes(3)]
)
async def test_without_a_header_nothing_is_answered(
    app: App, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app) as port:
        assert await exchange(port, sent) == b""
        assert await exchange(port, sent) == b""
    assert caplog.text.count("closed a connection from 127.0.0.1") == 1


async def test_who_is_no_trusted_proxy_is_not_heard(app: App, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(app, trusted_proxies=("10.0.0.0/8",)) as port:
        assert await exchange(port, HEADER + GET) == b""
    assert "is no trusted proxy" in caplog.text


async def test_the_clients_connections_are_counted_not_the_proxys(app: App) -> None:
    other = HEADER.replace(b"192.0.2.7", b"192.0.2.8")
    async with serving(app, max_connections_per_client=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEADER + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        assert http_answer(await exchange(port, HEADER + GET)).status == 429
        assert http_answer(await exchange(port, other + GET)).status == 200
        writer.close()
        await writer.wait_closed()


async def test_a_header_has_its_time(app: App, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(app, head_timeout_s=0.1) as port:
        assert await exchange(port, HEADER[:10]) == b""
    assert "did not come in time" in caplog.text


async def test_a_client_that_leaves_before_its_header_is_forgotten(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEADER[:10])
        writer.close()
        await writer.wait_closed()
        assert http_answer(await exchange(port, HEADER + GET)).status == 200
    assert caplog.text == ""


async def test_a_header_comes_before_tls(app: App, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "a", "DNS:a.example")
    trusting = ssl.create_default_context(cafile=str(certificate))
    files = {"tls_certificate": (str(certificate),), "tls_key": (str(key),)}
    async with serving(app, "https://127.0.0.1:0?proxy", **files) as port:
        loop = asyncio.get_running_loop()
        raw = socket.socket()
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", port))
        await loop.sock_sendall(raw, HEADER)
        reader, writer = await asyncio.open_connection(sock=raw, ssl=trusting, server_hostname="a.example")
        writer.write(GET)
        answer = http_answer(await reader.read())
        writer.close()
        await writer.wait_closed()
    assert answer.body == b'[["192.0.2.7",50123],["198.51.100.1",443],"https"]'


async def test_a_server_that_drains_does_not_wait_long_for_headers(app: App) -> None:
    async with serving(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEADER[:10])
        await writer.drain()
    writer.close()
