"""WebSockets: messages of every kind, both ways, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import h11
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from stack.matrix.check import check
from stack.matrix.client import Fields, Socket
from stack.matrix.target import Target

GROUP = "WebSocket"
MIB = 1 << 20
HANDSHAKE: Fields = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]


@contextlib.asynccontextmanager
async def opened(target: Target, path: str = "/echo", fields: Fields = ()) -> AsyncIterator[Socket]:
    """Have a WebSocket open for as long as the block."""
    async with target.connected() as connection, asyncio.timeout(30):
        yield await Socket.open(connection, path, host=target.host, fields=fields)


async def echoed(socket: Socket, text: str) -> str:
    """Send a text; return what comes back, put together."""
    await socket.send(TextMessage(text))
    answer = ""
    while True:
        event = await socket.receive()
        assert isinstance(event, TextMessage), event
        answer += event.data
        if event.message_finished:
            return answer


@check(GROUP, "messages go and come back", "echoed")
async def websocket_echo(target: Target) -> str:
    """Say some things."""
    async with opened(target) as socket:
        for text in ("hello", "", "caf\u00e9 \U0001f600", "x" * 70_000):
            assert await echoed(socket, text) == text
    return "echoed"


@check(GROUP, "a message of 1 MB comes back whole", "whole")
async def websocket_large(target: Target) -> str:
    """Say a lot."""
    data = bytes(range(256)) * (MIB // 256)
    async with opened(target) as socket:
        await socket.send(BytesMessage(data))
        received = bytearray()
        while len(received) < MIB:
            event = await socket.receive()
            assert isinstance(event, BytesMessage), event
            received += event.data
    return "whole" if received == data else "changed"


@check(GROUP, "a ping is answered", "pong")
async def websocket_ping(target: Target) -> str:
    """Ask whether anybody is there."""
    async with opened(target) as socket:
        await socket.send(Ping(b"there?"))
        event = await socket.receive()
    return "pong" if event == Pong(b"there?") else str(event)


@check(GROUP, "the client's close code comes back", "4001 enough")
async def websocket_close(target: Target) -> str:
    """Leave, and say why."""
    async with opened(target) as socket:
        await socket.send(CloseConnection(code=4001, reason="enough"))
        event = await socket.receive()
    assert isinstance(event, CloseConnection), event
    return f"{event.code} {event.reason}"


@check(GROUP, "the application's close code and reason arrive", "4002 go away")
async def websocket_closed(target: Target) -> str:
    """Be thrown out."""
    async with opened(target) as socket:
        await socket.send(TextMessage("close 4002 go away"))
        event = await socket.receive()
    assert isinstance(event, CloseConnection), event
    return f"{event.code} {event.reason}"


@check(GROUP, "a handshake that the application refuses is its own 403", "403")
async def websocket_refused(target: Target) -> str:
    """Ask where we are not wanted."""
    answer = await target.fetch("/forbidden", HANDSHAKE)
    assert b"not for you" in answer.body
    return str(answer.status)


@check(GROUP, "the subprotocol that the application chooses", "second")
async def websocket_subprotocol(target: Target) -> str:
    """Offer two."""
    async with target.connected() as connection, asyncio.timeout(20):
        fields = [*HANDSHAKE, ("Sec-WebSocket-Protocol", "first, second")]
        await connection.head("/echo", fields, host=target.host)
        await connection.end()
        while (event := connection.http.next_event()) is h11.NEED_DATA:
            connection.http.receive_data(await connection.reader.read(65536))
        assert isinstance(event, h11.InformationalResponse), event
        chosen = {name.decode(): value.decode() for name, value in event.headers}
    return chosen.get("sec-websocket-protocol", "none")


@check(GROUP, "who asked, and for what, in the handshake", "the client, the target")
async def websocket_facts(target: Target) -> str:
    """Spoof, and have the application say whom it sees."""
    async with opened(target, "/echo?a=%2F", [("X-Forwarded-For", "6.6.6.6")]) as socket:
        client, path = (await echoed(socket, "request")).split(" ")
    assert client in target.clients, client
    return "the client, the target" if path == "/echo?a=%2F" else path
