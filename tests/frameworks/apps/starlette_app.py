"""The sample application in Starlette."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

log: list[str] = []


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
    log.append("started")
    yield {"pool": "the pool"}
    log.append("stopped")


async def facts(request: Request) -> Response:
    return JSONResponse(
        {
            "method": request.method,
            "path": request.url.path,
            "query": request.query_params.multi_items(),
            "one": request.headers.get("x-one"),
            "cookies": request.cookies,
            "scheme": request.url.scheme,
            "client": request.client.host if request.client else None,
            "state": request.state.pool,
        }
    )


async def answer(request: Request) -> Response:
    response = PlainTextResponse("made", status_code=201)
    response.headers.append("X-Two", "a")
    response.headers.append("X-Two", "b")
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


async def echo(request: Request) -> Response:
    return Response(await request.body())


async def upload(request: Request) -> Response:
    async with request.form() as form:
        file = form["file"]
        assert not isinstance(file, str)
        return JSONResponse({"name": file.filename, "size": len(await file.read()), "field": form["field"]})


async def stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        for number in range(3):
            yield f"{number}\n"
            await asyncio.sleep(0)

    return StreamingResponse(pieces())


async def endless(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            log.append("left")

    return StreamingResponse(pieces())


async def file(request: Request) -> Response:
    return FileResponse(__file__)


async def broken(request: Request) -> Response:
    raise ValueError("broken on purpose")


async def later(request: Request) -> Response:
    async def work() -> None:
        log.append("worked")

    return PlainTextResponse("at once", background=BackgroundTask(work))


async def chat(socket: WebSocket) -> None:
    await socket.accept("chat", [(b"x-room", b"1")])
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect as left:
        log.append(f"closed with {left.code}")


async def private(socket: WebSocket) -> None:
    await socket.send_denial_response(PlainTextResponse("log in", status_code=401))


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/facts", facts),
        Route("/answer", answer, methods=["POST"]),
        Route("/echo", echo, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/endless", endless),
        Route("/file", file),
        Route("/broken", broken),
        Route("/later", later),
        WebSocketRoute("/chat", chat),
        WebSocketRoute("/private", private),
    ],
)
