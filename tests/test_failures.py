"""A request that fails is logged in the same way wherever that is noticed, and without its query."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from pierhead import App, Request, Response, WebSocket, WebSocketClosed
from pierhead.testing import Client, WebSocketRejected

inner = App("inner")


@inner.get("/raises")
async def raises(request: Request) -> Response:
    raise RuntimeError("a bug")


@inner.get("/breaks")
async def breaks(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("a bug")

    return Response.stream(pieces())


@inner.get("/framed")
async def framed(request: Request) -> Response:
    return Response(b"hello", headers={"Content-Length": "3"})


@inner.get("/late")
async def late(request: Request) -> None:
    await asyncio.Event().wait()


@inner.websocket("/socket/raises")
async def raises_too(socket: WebSocket) -> None:
    await socket.accept()
    raise RuntimeError("a bug")


@inner.websocket("/socket/late")
async def late_too(socket: WebSocket) -> None:
    await asyncio.Event().wait()


app = App()
app.mount("/inner", inner)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("raises", "unhandled exception"),
        ("breaks", "response body failed"),
        ("framed", "response cannot be sent: "),
        ("late", "took longer than handler_timeout_s=0.2"),
        ("socket/raises", "WebSocket handler failed"),
        ("socket/late", "took longer than handler_timeout_s=0.2"),
    ],
)
def test_one_record_says_which_request_failed_and_why(
    path: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    target = f"/inner/{path}?token=secret"
    with Client(app, handler_timeout_s=0.2) as client:
        if not path.startswith("socket"):
            if path == "breaks":
                with pytest.raises(ConnectionError, match="broken off"):
                    client.get(target)
            else:
                assert client.get(target).status == (504 if path == "late" else 500)
        elif path == "socket/late":
            with pytest.raises(WebSocketRejected, match="504"), client.websocket(target):
                raise AssertionError
        else:
            with client.websocket(target) as socket, pytest.raises(WebSocketClosed, match="1011"):
                socket.receive()
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (record.name, record.levelname) == ("pierhead.app", "ERROR")
    facts = vars(record)
    assert (facts["event"], facts["request"]) == ("request_failed", f"GET /inner/{path}")
    assert record.getMessage().startswith(f"GET /inner/{path} [{facts['request_id']}]: {message}")
    assert "secret" not in caplog.text
    assert ("a bug" in caplog.text) is (path in {"raises", "breaks", "socket/raises"})
