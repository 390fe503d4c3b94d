"""The sample application in Litestar."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Litestar, Request, Response, WebSocket, get, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import Cookie, UploadFile
from litestar.enums import RequestEncodingType
from litestar.exceptions import WebSocketDisconnect
from litestar.params import Body
from litestar.response import File, Stream

log: list[str] = []


async def start(app: Litestar) -> None:
    app.state.pool = "the pool"
    log.append("started")


async def stop(app: Litestar) -> None:
    log.append("stopped")


@get("/facts")
async def facts(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.url.path,
        "query": list(request.query_params.multi_items()),
        "one": request.headers.get("x-one"),
        "cookies": request.cookies,
        "scheme": request.url.scheme,
        "client": request.client.host if request.client else None,
        "state": request.app.state.pool,
    }


@post("/answer", sync_to_thread=True)
def answer() -> Response[str]:
    cookies = [Cookie("one", value="1"), Cookie("two", value="2")]
    return Response(
        "made", status_code=201, media_type="text/plain", headers={"X-Two": "a, b"}, cookies=cookies
    )


@post("/echo", status_code=200)
async def echo(request: Request[Any, Any, Any]) -> Response[bytes]:
    return Response(await request.body(), media_type="application/octet-stream")


@post("/upload", status_code=200)
async def upload(
    data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)],
) -> dict[str, Any]:
    file = data["file"]
    assert isinstance(file, UploadFile)
    return {"name": file.filename, "size": len(await file.read()), "field": data["field"]}


@get("/stream")
async def stream() -> Stream:
    return Stream(f"{number}\n" for number in range(3))


@get("/endless")
async def endless() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            log.append("left")

    return Stream(pieces())


@get("/file")
async def file() -> File:
    return File(__file__)


@get("/broken")
async def broken() -> None:
    raise ValueError("broken on purpose")


async def work() -> None:
    log.append("worked")


@get("/later", media_type="text/plain")
async def later() -> Response[str]:
    return Response("at once", background=BackgroundTask(work))


@websocket("/chat")
async def chat(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept("chat", {"x-room": "1"})
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect as left:
        log.append(f"closed with {left.code}")


app = Litestar(
    [facts, answer, echo, upload, stream, endless, file, broken, later, chat],
    on_startup=[start],
    on_shutdown=[stop],
)
