"""The sample application in Quart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from quart import Quart, Response, current_app, request, send_file, websocket

log: list[str] = []
app = Quart(__name__)


@app.before_serving
async def start() -> None:
    app.config["pool"] = "the pool"
    log.append("started")


@app.after_serving
async def stop() -> None:
    log.append("stopped")


@app.get("/facts")
async def facts() -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.path,
        "query": list(request.args.items(multi=True)),
        "one": request.headers.get("x-one"),
        "cookies": dict(request.cookies),
        "scheme": request.scheme,
        "client": request.remote_addr,
        "state": current_app.config["pool"],
    }


@app.post("/answer")
async def answer() -> Response:
    response = Response("made", 201, mimetype="text/plain")
    response.headers.add("X-Two", "a")
    response.headers.add("X-Two", "b")
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


@app.post("/echo")
async def echo() -> Any:
    return await request.get_data()


@app.post("/upload")
async def upload() -> dict[str, Any]:
    file = (await request.files)["file"]
    return {"name": file.filename, "size": len(file.read()), "field": (await request.form)["field"]}


@app.get("/stream")
async def stream() -> Any:
    async def pieces() -> AsyncIterator[str]:
        for number in range(3):
            yield f"{number}\n"
            await asyncio.sleep(0)

    return pieces()


@app.get("/endless")
async def endless() -> Any:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            log.append("left")

    return pieces()


@app.get("/file")
async def file() -> Any:
    return await send_file(__file__)


@app.get("/broken")
async def broken() -> str:
    raise ValueError("broken on purpose")


@app.get("/later")
async def later() -> Any:
    async def work() -> None:
        log.append("worked")

    app.add_background_task(work)
    return Response("at once", mimetype="text/plain")


@app.websocket("/chat")
async def chat() -> None:
    await websocket.accept({"x-room": "1"}, subprotocol="chat")
    try:
        while True:
            await websocket.send(await websocket.receive())
    except asyncio.CancelledError:
        log.append("closed with 1000")
        raise


@app.websocket("/private")
async def private() -> Any:
    return "log in", 401
