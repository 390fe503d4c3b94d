"""ASGI applications of a few lines, as the tests need them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from pierhead.interfaces.asgi.scope import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Handler", "body", "http", "start"]

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


def http(handler: Handler) -> ASGIApp:
    """Return an application of one handler, without a lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError("no lifespan")
        await handler(scope, receive, send)

    return app


def start(status: int = 200, headers: Iterable[tuple[bytes, bytes]] = (), **more: object) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}
