"""The stack's application: every example under its own prefix, and four routes to look at proxies with.

Run `pierhead run stack:app --app-dir examples` (some examples need DATABASE_URL).

Each example is mounted as it stands and can be run, read and copied alone. A prefix reaches an example
only as `request.root_path`, which `request.url_for_path` puts in front of every link.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import database.app
import etag.app
import hexagonal.app
import simple.app
import sse.app
import websocket.app
from pierhead import App, HTTPError, Request, Response, ServerSentEvent, WebSocket, event_stream

EXAMPLES = {
    "simple": simple.app.app,
    "etag": etag.app.app,
    "sse": sse.app.app,
    "websocket": websocket.app.app,
    "database": database.app.app,
    "hexagonal": hexagonal.app.app,
}
PRIVATE = {"authorization", "proxy-authorization", "cookie"}
SSE_MAX_EVENTS = 1000
SSE_MAX_S = 60.0

app = App("stack")
for name, example in EXAMPLES.items():
    app.mount(f"/{name}", example)


@app.get("/")
async def index(request: Request) -> dict[str, object]:
    """List the examples and the routes for proxies."""
    path = request.url_for_path
    return {
        "examples": {name: path(f"/{name}/") for name in EXAMPLES},
        "proxies": {
            "request": path("/whoami"),
            "events": path("/ticks"),
            "websocket": path("/echo"),
            "upload": path("/upload"),
        },
    }


@app.get("/whoami")
async def whoami(request: Request) -> Response:
    """Show the request as it arrived here, and who answers it. Credentials are not repeated."""
    seen = {
        "client": request.client._asdict() if request.client else None,
        "scheme": request.scheme,
        "host": request.host,
        "url": request.url,
        "method": request.method,
        "target": request.target,
        "http_version": request.http_version,
        "request_id": request.id,
        "headers": [
            [name, "(hidden)" if name.lower() in PRIVATE else value]
            for name, value in request.headers.items()
        ],
        "hostname": socket.gethostname(),
        "pid": os.getpid(),
    }
    return Response.json(seen, headers={"Cache-Control": "no-store"})


@app.get("/ticks")
async def ticker(request: Request) -> Response:
    """Send `count` events, one every `interval` seconds, then end."""
    count = int(number(request, "count", default=10, least=1, most=SSE_MAX_EVENTS))
    interval = number(request, "interval", default=0.5, least=0.01, most=SSE_MAX_S)
    if count * interval > SSE_MAX_S:
        raise HTTPError(400, f"count times interval must be at most {SSE_MAX_S:g} s")

    async def events() -> AsyncIterator[ServerSentEvent]:
        for tick in range(1, count + 1):
            await asyncio.sleep(interval if tick > 1 else 0)
            data = {"tick": tick, "sent": datetime.now(UTC).isoformat(), "pid": os.getpid()}
            yield ServerSentEvent(json.dumps(data), event="tick", id=str(tick))

    return event_stream(events(), retry_ms=1000)


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    """Send every message back."""
    await websocket.accept()
    async for message in websocket:
        await websocket.send(message)


@app.post("/upload")
async def upload(request: Request) -> dict[str, object]:
    """Say how long the body was and what its SHA-256 is; a body of any size is read as it comes."""
    size, digest = 0, hashlib.sha256()
    async for piece in request.stream():
        size += len(piece)
        digest.update(piece)
    return {"size": size, "sha256": digest.hexdigest()}


def number(request: Request, name: str, *, default: float, least: float, most: float) -> float:
    """Return a number from the query, or raise 400."""
    text = request.query.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise HTTPError(400, f"{name} must be a number from {least:g} to {most:g}", parameter=name)
    return value
