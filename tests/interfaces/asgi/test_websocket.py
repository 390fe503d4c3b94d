"""ASGI over WebSocket."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pierhead import WebSocketClosed
from pierhead.interfaces.asgi.scope import ASGIApp, Message, Receive, Scope, Send
from pierhead.testing import Client, WebSocketRejected

from .support import Handler, http

DEADLINE_S = 60.0


def accepting(handler: Handler, **fields: Any) -> ASGIApp:
    """Return an application that accepts, and then converses."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", **fields})
        await handler(scope, receive, send)

    return http(run)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"], "bytes": message["bytes"]})


def test_messages_go_both_ways() -> None:
    with Client(accepting(echo)) as client, client.websocket("/") as socket:
        socket.send("text")
        socket.send(b"bytes")
        assert (socket.receive(), socket.receive()) == ("text", b"bytes")


def test_accept_names_a_subprotocol_and_fields() -> None:
    app = accepting(echo, subprotocol="chat", headers=[(b"x-one", b"1")])
    with Client(app) as client, client.websocket("/", subprotocols=["other", "chat"]) as socket:
        assert (socket.subprotocol, socket.headers["X-One"]) == ("chat", "1")


def test_the_client_closes() -> None:
    got: list[Any] = []

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        got.append(await receive())
        got.append(await receive())  # and again, for who did not listen
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.send", "text": "too late"})

    with Client(accepting(wait)) as client, client.websocket("/") as socket:
        socket.close(3001, "enough")
    assert got == [{"type": "websocket.disconnect", "code": 3001, "reason": "enough"}] * 2


def test_the_application_closes() -> None:
    async def leave(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close", "code": 3002, "reason": "done"})

    with Client(accepting(leave)) as client:
        socket = client.websocket("/")
        with socket as opened, pytest.raises(WebSocketClosed) as closed:
            opened.receive()
    assert (closed.value.code, closed.value.reason) == (3002, "done")


def test_closing_before_accepting_is_a_403() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close"})

    with Client(http(refuse)) as client, pytest.raises(WebSocketRejected) as rejected:
        client.websocket("/").__enter__()
    assert rejected.value.response.status == 403


def test_a_response_can_stand_in_the_place_of_the_websocket() -> None:
    async def deny(scope: Scope, receive: Receive, send: Send) -> None:
        assert "websocket.http.response" in scope["extensions"]
        await send(
            {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"nobody")]}
        )
        await send({"type": "websocket.http.response.body", "body": b"log ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"in"})

    with Client(http(deny)) as client, pytest.raises(WebSocketRejected) as rejected:
        client.websocket("/").__enter__()
    response = rejected.value.response
    assert (response.status, response.headers["X-Why"], response.body) == (401, "nobody", b"log in")


def test_an_application_that_says_nothing_rejects() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None: ...

    with Client(http(silent)) as client, pytest.raises(WebSocketRejected) as rejected:
        client.websocket("/").__enter__()
    assert rejected.value.response.status == 403


@pytest.mark.parametrize("accepted", [True, False])
def test_an_application_that_raises(accepted: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("broken")

    with Client(accepting(broken) if accepted else http(broken)) as client:
        if accepted:
            with client.websocket("/") as socket, pytest.raises(WebSocketClosed) as closed:
                socket.receive()
            assert closed.value.code == 1011
        else:
            with pytest.raises(WebSocketRejected) as rejected:
                client.websocket("/").__enter__()
            assert rejected.value.response.status == 500
    assert "WebSocket handler failed" in caplog.text


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "websocket.send", "text": "too early"}],
        [{"type": "websocket.accept"}, {"type": "websocket.accept"}],
        [{"type": "websocket.http.response.body", "body": b""}],
        [{"type": "http.response.start", "status": 200}],
    ],
)
def test_messages_that_make_no_sense_raise(messages: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    raised: list[Exception] = []

    async def confused(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for message in messages:
                await send(message)
        except RuntimeError as error:
            raised.append(error)

    with Client(http(confused)) as client:
        try:
            with client.websocket("/") as socket, pytest.raises(WebSocketClosed):
                socket.receive()
        except WebSocketRejected:
            pass
    assert "the server does not expect it there" in str(raised[0])


@pytest.mark.parametrize("accepts", [True, False])
def test_one_task_may_listen_while_another_one_answers(accepts: bool) -> None:
    got: list[Any] = []

    async def listen(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        listening = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await send({"type": "websocket.accept" if accepts else "websocket.close"})
        got.append((await listening)["type"])

    with Client(http(listen)) as client:
        if accepts:
            with client.websocket("/") as socket:
                socket.send("text")
        else:
            with pytest.raises(WebSocketRejected):
                client.websocket("/").__enter__()
    assert got == ["websocket.receive" if accepts else "websocket.disconnect"]


def test_a_client_that_leaves_before_the_answer() -> None:
    entered, got = threading.Event(), []
    done = threading.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        entered.set()
        got.append(await receive())
        done.set()

    opening = (
        b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with Client(http(wait)) as client:
        transport = client._call(client._connect())
        client._do(transport.send, opening)
        assert entered.wait(DEADLINE_S)
        client._do(transport.disconnect)
        assert done.wait(DEADLINE_S)
    assert got[0]["type"] == "websocket.disconnect"
    assert got[0]["code"] == 1006


def test_a_stopping_server_is_a_disconnect() -> None:
    got: list[Any] = []

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        got.append(await receive())

    with Client(accepting(wait)) as client, client.websocket("/") as socket:
        assert client._server is not None
        assert client._loop is not None
        stopping = asyncio.run_coroutine_threadsafe(
            client._server.drain(DEADLINE_S, going_away=False), client._loop
        )
        with pytest.raises(WebSocketClosed) as closed:
            socket.receive()
        assert closed.value.code == 1012
        assert stopping.result(DEADLINE_S) == 0
    assert (got[0]["type"], got[0]["code"]) == ("websocket.disconnect", 1012)


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "websocket.accept", "headers": [(b"sec-websocket-accept", b"mine")]}],
        [
            {"type": "websocket.http.response.start", "status": 700},
            {"type": "websocket.http.response.body", "body": b""},
        ],
        [
            {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x", b"a\r\nb: c")]},
            {"type": "websocket.http.response.body", "body": b""},
        ],
    ],
)
def test_an_answer_that_cannot_be_sent_is_a_500(messages: list[Message]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    with Client(app, interface="asgi") as client:
        with pytest.raises(WebSocketRejected) as rejected, client.websocket("/"):
            pass
        assert rejected.value.response.status == 500


@pytest.mark.parametrize("empty", [{}, {"text": None, "bytes": None}])
def test_a_message_has_text_or_bytes(empty: Message, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", **empty})

    with Client(app, interface="asgi") as client, client.websocket("/") as socket:
        with pytest.raises(WebSocketClosed) as closed:
            socket.receive()
        assert closed.value.code == 1011
    assert "has text or bytes" in caplog.text
