"""Nothing waits in a proxy: events, WebSocket messages and uploads pass as they come."""

from __future__ import annotations

import asyncio

import h11
import pytest
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    TextMessage,
)

from stack.matrix.client import Fields, Socket, connected, fetch
from stack.matrix.programs import Program
from tests.proxy.upstream import Upstream

MIB = 1024 * 1024


@pytest.mark.parametrize(
    "fields",
    [[], [("Accept", "text/event-stream"), ("Accept-Encoding", "gzip, br")]],
    ids=["plain", "like a browser"],
)
async def test_each_event_arrives_before_the_next_is_sent(
    proxy: Program, upstream: Upstream, fields: Fields
) -> None:
    async with connected(proxy.port) as client, asyncio.timeout(60):
        await client.head("/events", fields)
        await client.end()
        for number in range(5):
            upstream.events.put_nowait(number)
            received = b""
            while not received.endswith(b"\n\n"):
                event = await client.event()
                if isinstance(event, h11.Data):
                    received += bytes(event.data)
            assert received == b"data: %d\n\n" % number
        upstream.events.put_nowait(None)
        assert isinstance(await client.event(), h11.EndOfMessage)


async def test_an_upload_reaches_the_application_while_it_is_sent(proxy: Program, upstream: Upstream) -> None:
    piece = b"x" * 65536
    async with connected(proxy.port) as client, asyncio.timeout(60):
        await client.head("/", [("Transfer-Encoding", "chunked")], method="POST")
        for number in (1, 2, 3):
            await client.body(piece)
            await upstream.received(number * len(piece))
        await client.end()
        assert (await client.answer()).status == 200


async def test_an_upload_of_the_largest_size_passes(proxy: Program, upstream: Upstream) -> None:
    piece = b"x" * MIB
    async with connected(proxy.port) as client:
        await client.head("/", [("Content-Length", str(128 * MIB))], method="PUT")
        for _ in range(128):
            await client.body(piece)
        await client.end()
        assert (await client.answer()).status == 200
    assert upstream.seen[0].body_bytes == 128 * MIB


async def test_a_larger_upload_is_refused_before_it_was_read(proxy: Program, upstream: Upstream) -> None:
    async with connected(proxy.port) as client, asyncio.timeout(60):
        await client.head("/", [("Content-Length", str(128 * MIB + 1))], method="POST")
        await client.body(b"x" * MIB)
        assert (await client.answer()).status == 413
    assert upstream.seen == []


async def test_expect_100_continue_is_answered(proxy: Program, upstream: Upstream) -> None:
    async with connected(proxy.port) as client, asyncio.timeout(60):
        await client.head("/", [("Content-Length", "4"), ("Expect", "100-continue")], method="POST")
        while client.http.they_are_waiting_for_100_continue or client.http.next_event() is h11.NEED_DATA:
            client.http.receive_data(await client.reader.read(65536))
            if isinstance(client.http.next_event(), h11.InformationalResponse):
                break
        await client.body(b"body")
        await client.end()
        assert (await client.answer()).status == 200
    assert upstream.seen[0].body_bytes == 4


async def test_a_websocket_passes_both_ways(proxy: Program, upstream: Upstream) -> None:
    async with connected(proxy.port) as connection, asyncio.timeout(60):
        socket = await Socket.open(connection, "/echo", host="example.org:8080")

        await socket.send(TextMessage("hello"))
        text = await socket.receive()
        assert isinstance(text, TextMessage)
        assert text.data == "hello"

        await socket.send(Ping(b"there?"))
        assert await socket.receive() == Pong(b"there?")

        await socket.send(BytesMessage(b"x" * MIB))
        size = 0
        while size < MIB:
            piece = await socket.receive()
            assert isinstance(piece, BytesMessage)
            size += len(piece.data)
        assert size == MIB

        await socket.send(CloseConnection(code=4001, reason="enough"))
        closed = await socket.receive()
        assert isinstance(closed, CloseConnection)
        assert (closed.code, closed.reason) == (4001, "enough")
    seen = upstream.seen[0]
    assert (seen.one("upgrade") or "").lower() == "websocket"
    assert (seen.one("connection") or "").lower() == "upgrade"
    assert seen.one("x-forwarded-for") == "127.0.0.1"


async def test_a_websocket_outlives_a_reload(proxy: Program, upstream: Upstream) -> None:
    async with connected(proxy.port) as connection, asyncio.timeout(60):
        socket = await Socket.open(connection, "/echo")
        await proxy.reload()
        for number in range(3):
            await fetch(proxy.port)
            await socket.send(TextMessage(str(number)))
            text = await socket.receive()
            assert isinstance(text, TextMessage)
            assert text.data == str(number)
        await socket.send(CloseConnection(code=1000))
        assert isinstance(await socket.receive(), CloseConnection)
