"""The application that the matrix looks at proxies with: it says what it saw, and does what it is asked to.

Runs as a process of its own, as any application does: `pierhead run app:app` in this folder, with the folder
of the examples on PYTHONPATH. PROBE_NOTES is a folder that all its workers share, for what must be known
after a request has ended; without it, the paths that need it answer 503.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

from pierhead import App, HTTPError, Request, Response, WebSocket
from pierhead.messages.conditional import parse_etags

TEXT = "a line of text that compresses well\n" * 600
TAG = '"v1"'
FILE = Path(__file__).with_name("digits.txt")  # a kilobyte of digits: one range can be told from another
PATIENCE_S = 3.0
MAX_EVENTS = 1000

app = App("probe")
app.mount("/simple", importlib.import_module("simple.app").app)
hasty = App("hasty", handler_timeout_s=PATIENCE_S)
app.mount("/hasty", hasty)


# --- what was asked, as it arrived here


@app.endpoint(priority=1, when=lambda request: request.path.startswith("/seen"))
async def seen(request: Request) -> Response:
    """Tell how a request with any method and any path arrived, its body counted."""
    size, digest, first_at = 0, hashlib.sha256(), 0.0
    async for piece in request.stream():
        first_at = first_at or time.time()
        size += len(piece)
        digest.update(piece)
    arrived = {
        "replica": f"{socket.gethostname()}:{os.environ.get('PROBE_NAME', '')}",
        "pid": os.getpid(),
        "client": request.client.host if request.client else None,
        "scheme": request.scheme,
        "host": request.host,
        "root_path": request.root_path,
        "method": request.method,
        "target": request.target,
        "http_version": request.http_version,
        "request_id": request.id,
        "headers": list(request.headers.items()),
        "trailers": list(request.trailers.items()),
        "body_bytes": size,
        "body_sha256": digest.hexdigest(),
        "body_began": first_at,
    }
    return Response.json(arrived, headers={"Cache-Control": "no-store"})


# --- validators, ranges, compression


@app.get("/document")
async def read_document(request: Request) -> Response:
    """Answer a text that is long enough to be compressed, with validators."""
    fields = {"ETag": TAG, "Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT", "Cache-Control": "no-cache"}
    return Response.text(TEXT, headers=fields)


@app.put("/document")
async def write_document(request: Request) -> Response:
    """Take a new text only from who knows the one there is: 428, 412, or 204."""
    condition = request.headers.get("If-Match")
    if condition is None:
        raise HTTPError(428, "say which text you mean to replace, with If-Match")
    if condition.strip() != "*" and TAG not in (parse_etags(condition) or []):
        raise HTTPError(412, "the text is another one by now")
    return Response.empty()


@app.get("/text/{kind}")
async def text(request: Request, kind: str) -> Response:
    """Answer text that should (`long`) or should not (`short`, `untouched`, `binary`) be compressed."""
    match kind:
        case "short":
            return Response.text("short\n")
        case "untouched":
            return Response.text(TEXT, headers={"Cache-Control": "no-transform"})
        case "binary":
            return Response(TEXT.encode(), content_type="image/png")
        case "long":
            return Response.text(TEXT)
    raise HTTPError(404)


@app.get("/file")
async def file(request: Request) -> Response:
    """Answer a file, or the range of it that is asked for."""
    return Response.file(FILE)


# --- bodies that take their time


@app.get("/events")
async def events(request: Request) -> Response:
    """Send `count` events, one every `interval` seconds, each with the time at which it was sent."""
    count = min(int(request.query.get("count", "8")), MAX_EVENTS)
    interval = float(request.query.get("interval", "0.2"))
    key = request.query.get("note", "")

    async def stream() -> AsyncIterator[bytes]:
        try:
            yield f": {request.headers.get('Last-Event-ID', '')}\n\n".encode()
            for number in range(count):
                yield f"id: {number}\ndata: {time.time()}\n\n".encode()
                await asyncio.sleep(interval)
        finally:
            if key:
                note(f"left-{key}")

    return Response.stream(stream(), headers={"Cache-Control": "no-cache"}, content_type="text/event-stream")


@app.get("/pieces")
async def pieces(request: Request) -> Response:
    """Send a text in pieces, as events are, but as another type; `break` ends it before its time."""

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(int(request.query.get("count", "8"))):
            yield f"{time.time()}\n".encode()
            await asyncio.sleep(0.2)
        if "break" in request.query:
            raise ConnectionAbortedError("asked to break off")

    return Response.stream(stream(), content_type="application/x-ndjson")


@app.get("/slow")
async def slow(request: Request) -> Response:
    """Answer after `seconds`; `note` names a note that is left when it begins."""
    if key := request.query.get("note"):
        note(f"began-{key}")
    await asyncio.sleep(float(request.query.get("seconds", "1")))
    return Response.text("slow\n")


@hasty.get("/slow")
async def too_slow(request: Request) -> Response:
    """Take longer than this application grants its handlers."""
    await asyncio.sleep(PATIENCE_S * 20)
    return Response.text("too slow\n")


# --- answers as they are


@app.get("/status/{status:int}")
async def status(request: Request, status: int) -> Response:
    """Answer with a status and a body of our own."""
    return Response.text(f"own {status}\n", status, {"Retry-After": "77", "X-Own": "yes"})


@app.get("/fields")
async def fields(request: Request) -> Response:
    """Answer with fields that a proxy may be tempted to change."""
    response = Response.text("fields\n", headers=[("X-One", "1"), ("X-One", "2")])
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.get("/secured")
async def secured(request: Request) -> Response:
    """Answer with security headers of our own."""
    return Response.text("secured\n", headers={"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"})


@app.get("/redirect")
async def redirect(request: Request) -> Response:
    """Send the client to a path of this site."""
    return Response.redirect("/seen?redirected")


# --- WebSockets


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    """Send each message back; "close CODE REASON" closes, "headers" tells what came with the handshake."""
    offered = socket.subprotocols
    await socket.accept(offered[-1] if offered else None)
    async for message in socket:
        if isinstance(message, str) and message.startswith("close "):
            _, code, reason = message.split(" ", 2)
            await socket.close(int(code), reason)
        elif message == "request":
            request = socket.request
            await socket.send(f"{request.client and request.client.host} {request.target}")
        else:
            await socket.send(message)


@app.websocket("/forbidden")
async def forbidden(socket: WebSocket) -> None:
    """Refuse every handshake."""
    await socket.reject(Response.problem(403, "not for you"))


# --- what goes wrong


@app.endpoint(priority=1, when=lambda request: request.path == "/crash")
async def crash(request: Request) -> Response:
    """End this worker at once when asked for the first time by this `note`; answer 200 after that."""
    key = f"crashed-{request.query['note']}"
    again = note(key)
    if not again:
        os._exit(9)
    return Response.text("survived\n")


@app.get("/notes/{name}")
async def notes(request: Request, name: str) -> dict[str, int]:
    """Tell how often a note was left."""
    path = folder() / name
    return {"count": path.stat().st_size if path.exists() else 0}


def note(name: str) -> int:
    """Leave a note; return how many there were already."""
    handle = os.open(folder() / Path(name).name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(handle, b"x")
        return os.fstat(handle).st_size - 1
    finally:
        os.close(handle)


def folder() -> Path:
    """Return the folder of the notes. Raises HTTPError if there is none."""
    if not (path := os.environ.get("PROBE_NOTES")):
        raise HTTPError(503, "PROBE_NOTES is not set")
    return Path(path)
