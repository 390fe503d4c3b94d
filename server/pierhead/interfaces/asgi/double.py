"""ASGI 2: applications that are called twice, first with the scope, then with receive and send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pierhead.interfaces.asgi.scope import ASGIApp, Receive, Scope, Send

__all__ = ["DoubleCallable", "single"]

DoubleCallable = Callable[[Scope], Callable[[Receive, Send], Awaitable[None]]]


def single(app: DoubleCallable) -> ASGIApp:
    """Return an ASGI 2 application, which may be a class, as one of ASGI 3."""

    async def called_once(scope: Scope, receive: Receive, send: Send) -> None:
        scope["asgi"]["version"] = "2.0"
        await app(scope)(receive, send)

    return called_once
