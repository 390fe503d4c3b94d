"""The sample application in FastAPI."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import BackgroundTasks, FastAPI, File, Form, Request, Response, UploadFile, WebSocket
from fastapi.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.websockets import WebSocketDisconnect

log: list[str] = []


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    log.append("started")
    yield {"pool": "the pool"}
    log.append("stopped")


app = FastAPI(lifespan=lifespan)


@app.get("/facts")
async def facts(request: Request) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.url.path,
        "query": request.query_params.multi_items(),
        "one": request.headers.get("x-one"),
        "cookies": request.cookies,
        "scheme": request.url.scheme,
        "client": request.client.host if request.client else None,
        "state": request.state.pool,
    }


@app.post("/answer", status_code=201, response_class=PlainTextResponse)
def answer(response: Response) -> str:  # `def`: in a thread
    response.headers.append("X-Two", "a")
    response.headers.append("X-Two", "b")
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return "made"


@app.post("/echo")
async def echo(request: Request) -> Response:
    return Response(await request.body())


@app.post("/upload")
async def upload(file: Annotated[UploadFile, File()], field: Annotated[str, Form()]) -> dict[str, Any]:
    return {"name": file.filename, "size": len(await file.read()), "field": field}


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(f"{number}\n" for number in range(3))


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            log.append("left")

    return StreamingResponse(pieces())


@app.get("/file")
async def file() -> FileResponse:
    return FileResponse(__file__)


@app.get("/broken")
async def broken() -> None:
    raise ValueError("broken on purpose")


@app.get("/later", response_class=PlainTextResponse)
async def later(tasks: BackgroundTasks) -> str:
    tasks.add_task(log.append, "worked")
    return "at once"


@app.websocket("/chat")
async def chat(socket: WebSocket) -> None:
    await socket.accept("chat", [(b"x-room", b"1")])
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect as left:
        log.append(f"closed with {left.code}")


@app.websocket("/private")
async def private(socket: WebSocket) -> None:
    await socket.send_denial_response(PlainTextResponse("log in", status_code=401))
