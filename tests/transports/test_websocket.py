"""WebSockets through a whole connection in memory: conversations, closing, limits, draining."""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from typing import cast

import pytest

from pierhead import App, Request, Response, WebSocket, WebSocketClosed
from pierhead.interfaces.conversation import converse
from pierhead.interfaces.native import NativeApplication
from pierhead.messages.headers import Headers
from pierhead.messages.websocket import WebSocketChannel
from pierhead.testing import Client, WebSocketRejected, handle_raw

OPENING = (
    b"GET /echo HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO = b"\x81\x85" + bytes(4) + b"hello"
CLOSE = b"\x88\x82" + bytes(4) + struct.pack("!H", 1000)


@pytest.fixture
def app() -> App:
    app = App()
    app.state.closed = []

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for message in socket:
            await socket.send(message)
        app.state.closed.append((socket.close_code, socket.close_reason))

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.accept("chat", {"X-Room": "lobby"})
        await socket.close(4000, "full")

    @app.websocket("/forbidden")
    async def forbidden(socket: WebSocket) -> None:
        await socket.reject(Response.problem(403, "not you"))

    @app.websocket("/silent")
    async def silent(socket: WebSocket) -> None:
        pass

    @app.websocket("/broken/{when}")
    async def broken(socket: WebSocket, when: str) -> None:
        if when == "late":
            await socket.send("hello")
        raise RuntimeError("a bug")

    return app


def test_text_and_binary_are_echoed(app: App) -> None:
    with Client(app) as client:
        with client.websocket("/echo") as socket:
            socket.send("grün")
            socket.send(b"\0\1")
            socket.send("x" * 200_000)
            assert socket.receive() == "grün"
            assert socket.receive() == b"\0\1"
            assert socket.receive() == "x" * 200_000
            socket.close(4001, "enough")
            assert socket.close_code == 4001
        assert app.state.closed == [(4001, "enough")]


def test_frames_sent_right_behind_the_handshake_are_not_lost(app: App) -> None:
    with Client(app) as client:
        transport = client._call(client._connect())
        client._do(transport.send, OPENING + HELLO)
        answer = b""
        while not answer.endswith(b"\x81\x05hello"):
            answer += client._call(transport.receive())
        assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        client._do(transport.send, CLOSE)
        assert client._call(transport.receive()) == b"\x88\x02" + struct.pack("!H", 1000)
        assert client._call(transport.receive()) == b""
    assert app.state.closed == [(1000, "")]


def test_a_subprotocol_is_chosen_and_the_server_closes(app: App) -> None:
    with Client(app) as client, client.websocket("/chat", subprotocols=["other", "chat"]) as socket:
        assert socket.subprotocol == "chat"
        assert socket.headers["X-Room"] == "lobby"
        with pytest.raises(WebSocketClosed, match="4000: full"):
            socket.receive()


@pytest.mark.parametrize(
    ("path", "status"), [("/forbidden", 403), ("/silent", 403), ("/nowhere", 404), ("/broken/early", 500)]
)
def test_a_rejected_handshake_is_an_ordinary_response(app: App, path: str, status: int) -> None:
    with Client(app) as client:
        with pytest.raises(WebSocketRejected) as caught, client.websocket(path):
            raise AssertionError
        assert caught.value.response.status == status
        assert caught.value.response.headers["Content-Type"] == "application/problem+json"


def test_a_handler_that_fails_closes_with_1011(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.ERROR, "pierhead"),
        Client(app) as client,
        client.websocket("/broken/late") as socket,
    ):
        assert socket.receive() == "hello"
        with pytest.raises(WebSocketClosed) as caught:
            socket.receive()
        assert caught.value.code == 1011
    assert "a bug" in caplog.text


def test_a_peer_that_vanishes_is_1006(app: App) -> None:
    handle_raw(app, OPENING)
    assert app.state.closed == [(1006, "the peer closed the connection")]


def test_a_message_over_the_limit_is_1009(app: App) -> None:
    with Client(app, max_websocket_message_bytes=100) as client, client.websocket("/echo") as socket:
        socket.send("x" * 101)
        with pytest.raises(WebSocketClosed) as caught:
            socket.receive()
        assert caught.value.code == 1009
    assert app.state.closed[0][0] == 1009


def test_a_silent_peer_is_pinged_and_given_up(app: App) -> None:
    with Client(app, websocket_ping_interval_s=0.05, websocket_ping_timeout_s=0.05) as client:
        transport = client._call(client._connect())
        client._do(transport.send, OPENING)
        received = b""
        while piece := client._call(transport.receive()):
            received += piece
        assert received.startswith(b"HTTP/1.1 101 ")
        assert received.endswith(b"\x89\x00")  # a ping, which stays unanswered
        assert client._server is not None
        client._call(client._server.drain(1.0))
    assert app.state.closed == [(1006, "the peer did not answer a ping")]


@pytest.mark.parametrize(("going_away", "code"), [(True, 1001), (False, 1012)])
def test_draining_closes_and_waits_for_the_peer(app: App, going_away: bool, code: int) -> None:
    with Client(app) as client, client.websocket("/echo") as socket:
        socket.send("hello")
        assert socket.receive() == "hello"
        assert client._server is not None
        assert client._loop is not None
        drained = asyncio.run_coroutine_threadsafe(
            client._server.drain(10.0, going_away=going_away), client._loop
        )
        with pytest.raises(WebSocketClosed) as caught:
            socket.receive()
        assert caught.value.code == code
        assert drained.result(60) == 0
    assert app.state.closed == [(code, caught.value.reason)]


def test_a_handler_learns_that_sending_is_over(app: App) -> None:
    failed = asyncio.Event()

    @app.websocket("/ticker")
    async def ticker(socket: WebSocket) -> None:
        try:
            while True:
                await socket.send("tick" * 1000)
        except WebSocketClosed:
            failed.set()
            raise

    with Client(app) as client:
        with client.websocket("/ticker") as socket:
            socket.receive()
            socket.close()
        client._call(asyncio.wait_for(failed.wait(), 30))


def test_a_peer_that_sends_more_than_is_read_is_made_to_wait(app: App) -> None:
    go_on = asyncio.Event()
    received: list[int] = []

    @app.websocket("/slow")
    async def slow(socket: WebSocket) -> None:
        await socket.accept()
        await go_on.wait()
        async for message in socket:
            received.append(len(message))

    with Client(app) as client:
        with client.websocket("/slow") as socket:
            for _ in range(200):
                socket.send(b"x" * 10_000)
            assert not socket._transport.is_reading()
            client._do(go_on.set)
        assert received == [10_000] * 200


async def test_a_child_that_a_handler_forks_may_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App()

    @app.websocket("/")
    async def talk(socket: WebSocket) -> None:
        monkeypatch.setattr(os, "getpid", lambda: -1)  # as in a child
        raise SystemExit(3)

    channel = cast("WebSocketChannel", None)
    application = NativeApplication(app)
    await application.start()
    with pytest.raises(SystemExit):
        await converse(application, WebSocket(Request("GET", "/", Headers()), channel))
