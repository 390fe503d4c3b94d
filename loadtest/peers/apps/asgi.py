"""The application for ASGI, with no framework, so that the server alone is measured."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from loadtest.peers.apps.hub import GREETING, Hub, pieces

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

hub = Hub()


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer 13 bytes at `/`; the other paths as `native` does."""
    if scope["type"] == "http":
        path = scope["path"]
        if path == "/":
            await whole(send, GREETING)
        elif path == "/upload":
            await upload(receive, send)
        elif path == "/download":
            await download(scope, send)
        elif path == "/events":
            await events(scope, send)
        else:
            await whole(send, b"not here", 404)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    else:
        await lifespan(receive, send)


async def whole(send: Send, body: bytes, status: int = 200) -> None:
    """Send one answer."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def upload(receive: Receive, send: Send) -> None:
    """Count what comes."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await whole(send, b"%d" % size)


async def download(scope: dict[str, Any], send: Send) -> None:
    """Send as many bytes as the query says."""
    size = int(scope["query_string"])
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for piece in pieces(size):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def events(scope: dict[str, Any], send: Send) -> None:
    """Send events for ever, together with as many others as the query says."""
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for event in hub.events(int(scope["query_string"])):
        await send({"type": "http.response.body", "body": event, "more_body": True})


async def echo(receive: Receive, send: Send) -> None:
    """Send every message back."""
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def lifespan(receive: Receive, send: Send) -> None:
    """Start and stop without anything to do."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
