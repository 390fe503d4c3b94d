"""ASGI 2: applications that are called twice answer as those of ASGI 3."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pierhead.interfaces.asgi.scope import Receive, Scope, Send
from pierhead.testing import Client
from tests.interfaces.asgi.support import body, start


class Consumer:
    """An application as a class."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, receive: Receive, send: Send) -> None:
        if self.scope["type"] == "lifespan":
            await receive()
            self.scope["state"]["greeting"] = "hello"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif self.scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "hello"})
            await send({"type": "websocket.close"})
        else:
            message = await receive()
            said = f"{self.scope['state']['greeting']} {message['body'].decode()}"
            await send(start(headers=[(b"x-version", self.scope["asgi"]["version"].encode())]))
            await send(body(said.encode()))


def function(scope: Scope) -> Callable[[Receive, Send], Awaitable[None]]:
    """As a function that returns one."""
    return Consumer(scope)


@pytest.mark.parametrize("app", [Consumer, function])
def test_an_application_that_is_called_twice(app: Any) -> None:
    with Client(app) as client:
        response = client.post("/", content="Ada")
        assert (response.text, response.headers["X-Version"]) == ("hello Ada", "2.0")
        with client.websocket("/") as socket:
            assert socket.receive() == "hello"
