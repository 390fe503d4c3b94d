"""The extensions of ASGI as clients see them on real sockets, bare and by TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pierhead.config import Settings
from pierhead.interfaces.asgi import ASGIApplication
from pierhead.interfaces.asgi.scope import Receive, Scope, Send
from pierhead.supervisor.listeners import bind
from pierhead.transports.server import Server
from tests.certificates import make_certificate
from tests.interfaces.asgi.support import body, http, start

HANDSHAKE = [
    "Upgrade: websocket",
    "Connection: Upgrade, close",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
]


@http
async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Use the extension that the path is called after."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.http.response.start", "status": 403, "headers": [(b"x-why", b"no")]})
        await send({"type": "websocket.http.response.body", "body": b"not you"})
    elif scope["path"] == "/pathsend":
        await send(start(headers=[(b"content-length", b"300000")]))
        await send({"type": "http.response.pathsend", "path": scope["query_string"].decode()})
    elif scope["path"] == "/hints":
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send(start())
        await send(body(b"page"))
    elif scope["path"] == "/trailers":
        await send(start(headers=[(b"trailer", b"x-sum")], trailers=True))
        await send(body(b"summed"))
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"7")]})
    else:
        tls = scope["extensions"].get("tls", {"tls_version": 0, "server_cert": ""})
        await send(start())
        await send(body(f"{tls['tls_version']:#06x} {tls['server_cert'][:27]}".encode()))


@pytest.fixture
async def urls(tmp_path: Path) -> AsyncIterator[dict[str, int]]:
    """Serve, and return the port of each scheme."""
    certificate, key = make_certificate(tmp_path, "localhost", "DNS:localhost")
    server = Server(ASGIApplication(app), Settings(tls_certificate=(str(certificate),), tls_key=(str(key),)))
    await server.start()
    ports = {}
    for scheme in ("http", "https"):
        bound = bind(f"{scheme}://127.0.0.1:0", 10)
        ports[scheme] = bound.getsockname()[1]
        await server.listen(bound, f"{scheme}://127.0.0.1:0")
    yield ports
    await server.drain(60.0)
    await server.close()


async def ask(ports: dict[str, int], scheme: str, target: str, *fields: str) -> bytes:
    """Return all that comes back for a GET request."""
    context = None
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", ports[scheme], ssl=context)
    lines = [f"GET {target} HTTP/1.1", "Host: x", *(fields or ["Connection: close"]), "", ""]
    writer.write("\r\n".join(lines).encode())
    try:
        return await reader.read()
    finally:
        writer.close()


schemes = pytest.mark.parametrize("scheme", ["http", "https"])


@schemes
async def test_a_file(urls: dict[str, int], scheme: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789" * 30_000)
    head, _, content = (await ask(urls, scheme, f"/pathsend?{file}")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert content == file.read_bytes()


@schemes
async def test_early_hints(urls: dict[str, int], scheme: str) -> None:
    hints, response, page = (await ask(urls, scheme, "/hints")).split(b"\r\n\r\n")
    assert hints == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload"
    assert response.startswith(b"HTTP/1.1 200 ")
    assert page.endswith(b"page") or page.startswith(b"4\r\npage")


@schemes
async def test_trailer_fields(urls: dict[str, int], scheme: str) -> None:
    data = await ask(urls, scheme, "/trailers")
    assert data.endswith(b"6\r\nsummed\r\n0\r\nx-sum: 7\r\n\r\n")


@schemes
async def test_an_answer_in_the_place_of_a_websocket(urls: dict[str, int], scheme: str) -> None:
    data = await ask(urls, scheme, "/", *HANDSHAKE)
    assert data.startswith(b"HTTP/1.1 403 ")
    assert b"x-why: no\r\n" in data
    assert data.endswith(b"not you")


async def test_what_is_known_of_tls(urls: dict[str, int]) -> None:
    assert (await ask(urls, "https", "/")).endswith(b"0x0304 -----BEGIN CERTIFICATE-----"[:34])
    assert (await ask(urls, "http", "/")).endswith(b"0x0000 ")
