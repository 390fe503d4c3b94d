"""The application that is served: an ASGI callable that tells its process and its version."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

__all__ = ["app"]

Message = MutableMapping[str, Any]

VERSION = Path(os.environ["FAULTS_VERSION"]).read_text(encoding="utf-8")
if VERSION != "1":
    time.sleep(1.0)  # new code that takes its time to be imported


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer `/` with process and version, `/slow` late, `/events` with a stream; hang at `/block`.

    WebSockets are held until their client leaves.
    """
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
    if scope["path"] == "/block":
        time.sleep(60)  # noqa: ASYNC251 - that is the fault
    kind = b"text/event-stream" if scope["path"] == "/events" else b"text/plain"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    if scope["path"] == "/events":
        while True:
            await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
            await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": f"{os.getpid()} {VERSION}\n".encode()})
