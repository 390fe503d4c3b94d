"""A client that sends exactly what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Self

import h11
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, Request

Fields = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """One response, complete."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return the values of every field of that name."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        """Return the value of the only field of that name, or None."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None


class Connection:
    """One connection to a proxy; requests go one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.http = h11.Connection(h11.CLIENT)
        self.quiet = True
        """Whether nothing has come since the last head was sent."""

    async def head(
        self, target: str = "/", fields: Fields = (), *, method: str = "GET", host: str = "example.org:8080"
    ) -> None:
        """Send the head of a request."""
        self.quiet = True
        request = h11.Request(method=method, target=target, headers=[("Host", host), *fields])
        self.writer.write(self.http.send(request) or b"")
        await self.writer.drain()

    async def body(self, data: bytes) -> None:
        """Send a piece of the request's body."""
        self.writer.write(self.http.send(h11.Data(data=data)) or b"")
        await self.writer.drain()

    async def end(self) -> None:
        """End the request."""
        self.writer.write(self.http.send(h11.EndOfMessage()) or b"")
        await self.writer.drain()

    async def event(self) -> h11.Event:
        """Wait for the next part of the response."""
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                data = await self.reader.read(65536)
                self.quiet = self.quiet and not data
                self.http.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                continue
            else:
                assert isinstance(event, h11.Event), f"the connection ended: {event}"
                return event

    async def answer(self) -> Answer:
        """Wait for the whole response."""
        answer = Answer(0, [], b"")
        while not isinstance(event := await self.event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                answer.status = event.status_code
                answer.fields = [
                    (name.decode(), value.decode("latin-1")) for name, value in event.headers.raw_items()
                ]
            elif isinstance(event, h11.Data):
                answer.body += bytes(event.data)
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
        return answer

    async def request(
        self, target: str = "/", fields: Fields = (), *, method: str = "GET", host: str = "example.org:8080"
    ) -> Answer:
        """Send a request without a body and wait for the response."""
        await self.head(target, fields, method=method, host=host)
        await self.end()
        return await self.answer()


class Socket:
    """A WebSocket over a connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.codec = WSConnection(ConnectionType.CLIENT)

    @classmethod
    async def open(
        cls, connection: Connection, target: str, *, host: str = "example.org", fields: Fields = ()
    ) -> Self:
        """Shake hands; the server must accept."""
        socket = cls(connection)
        extra = [(name.encode(), value.encode("latin-1")) for name, value in fields]
        await socket.send(Request(host=host, target=target, extra_headers=extra))
        accepted = await socket.receive()
        assert isinstance(accepted, AcceptConnection), accepted
        return socket

    async def send(self, event: Event) -> None:
        """Send a message, a ping or the end."""
        self.connection.writer.write(self.codec.send(event))
        await self.connection.writer.drain()

    async def receive(self) -> Event:
        """Wait for the next event."""
        while True:
            for event in self.codec.events():
                return event
            self.codec.receive_data(await self.connection.reader.read(65536) or None)


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    """Be connected to the proxy as long as the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def fetch(
    port: int, target: str = "/", fields: Fields = (), *, method: str = "GET", host: str = "example.org:8080"
) -> Answer:
    """Send one request without a body, on a connection of its own."""
    async with connected(port) as connection:
        return await connection.request(target, fields, method=method, host=host)
