"""The application for Pierhead's own interface."""

from __future__ import annotations

from loadtest.peers.apps.hub import GREETING, Hub, pieces
from pierhead import App, Request, Response, WebSocket

app = App("peers")
hub = Hub()


@app.get("/")
async def greet(request: Request) -> Response:
    """Answer 13 bytes."""
    return Response.text("Hello, World!")


@app.post("/upload")
async def upload(request: Request) -> Response:
    """Count what comes."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return Response.text(str(size))


@app.get("/download")
async def download(request: Request) -> Response:
    """Send as many bytes as the query says."""
    size = int(request.query_string)
    return Response.stream(pieces(size), headers={"Content-Length": str(size)})


@app.get("/events")
async def events(request: Request) -> Response:
    """Send events for ever, together with as many others as the query says."""
    return Response.stream(hub.events(int(request.query_string)), content_type="text/event-stream")


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    """Send every message back."""
    await websocket.accept()
    async for message in websocket:
        await websocket.send(message)


assert len(GREETING) == 13
