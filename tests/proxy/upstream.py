"""An application server that does as it is told, and remembers what a proxy sent to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import h11
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection as Accept
from wsproto.events import BytesMessage, CloseConnection, Ping, Request, TextMessage

from stack.ports import any_free

EVENT = b"data: %d\n\n"


ANSWERS = {
    "/busy": (503, [("Retry-After", "77")]),
    "/text": (200, [("Content-Type", "text/plain"), ("ETag", '"v1"')]),
    "/secured": (
        200,
        [
            ("Content-Type", "text/html"),
            ("X-Content-Type-Options", "own"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Strict-Transport-Security", "max-age=1"),
        ],
    ),
}


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    connection: int
    body_bytes: int = 0

    def all(self, name: str) -> list[str]:
        """Return the values of every field of that name, spelt with hyphens or underscores."""
        wanted = name.lower().replace("_", "-")
        return [value for key, value in self.fields if key.lower().replace("_", "-") == wanted]

    def one(self, name: str) -> str | None:
        """Return the value of the only field of that name, or None."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None


@dataclass
class Upstream:
    """What the paths do: /break/* ends the connection without an answer, /busy answers 503, /events sends an
    event whenever the test allows one more, /echo is a WebSocket, /text is long and has an ETag, /secured
    says itself how secure it is; anything else answers 200 with its port. `host` may be "unix:/path".
    With `breaking`, every request ends as /break does. Health checks (/readyz) are answered, and not seen.
    """

    port: int = 0
    host: str = "127.0.0.1"
    seen: list[Seen] = field(default_factory=list)
    opened: int = 0
    body_bytes: int = 0
    breaking: bool = False
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)
    events: asyncio.Queue[int | None] = field(default_factory=asyncio.Queue)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        """Listen: on the port it had, if it was stopped before."""
        if self.host.startswith("unix:"):
            self._server = await asyncio.start_unix_server(self._serve, self.host.removeprefix("unix:"))
            return
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and every connection, as a process that dies does."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def received(self, size: int) -> None:
        """Wait until so many bytes of bodies have arrived."""
        async with self.progress:
            await self.progress.wait_for(lambda: self.body_bytes >= size)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        number = self.opened
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, h11.RemoteProtocolError):
                await self._converse(reader, writer, number)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        http = h11.Connection(h11.SERVER)
        seen: Seen | None = None
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                if http.they_are_waiting_for_100_continue:
                    writer.write(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                http.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                fields = [
                    (name.decode(), value.decode("latin-1")) for name, value in event.headers.raw_items()
                ]
                seen = Seen(event.method.decode(), event.target.decode(), fields, number)
                if seen.target != "/readyz":  # proxies ask by themselves, at any time
                    self.seen.append(seen)
                if seen.target == "/echo":
                    return await self._echo(reader, writer, seen)
            elif isinstance(event, h11.Data) and seen is not None:
                seen.body_bytes += len(event.data)
                async with self.progress:
                    self.body_bytes += len(event.data)
                    self.progress.notify_all()
            elif isinstance(event, h11.EndOfMessage) and seen is not None:
                if (self.breaking and seen.target != "/readyz") or seen.target.startswith("/break"):
                    return None
                await self._answer(http, writer, seen)
                if http.our_state is h11.MUST_CLOSE:
                    return None
                http.start_next_cycle()
            else:
                return None

    async def _answer(self, http: h11.Connection, writer: asyncio.StreamWriter, seen: Seen) -> None:
        def send(event: h11.Event) -> None:
            writer.write(http.send(event) or b"")

        if seen.target.startswith("/events"):
            send(h11.Response(status_code=200, headers=[("Content-Type", "text/event-stream")]))
            while (number := await self.events.get()) is not None:
                send(h11.Data(data=EVENT % number))
                await writer.drain()
        else:
            body = str(self.port).encode()
            status, extra = ANSWERS.get(seen.target, (200, []))
            if seen.target == "/text":
                body = b"a line of text\n" * 1000
                if "v1" in (seen.one("if-none-match") or ""):
                    status, body = 304, b""
            send(h11.Response(status_code=status, headers=[("Content-Length", str(len(body))), *extra]))
            if seen.method != "HEAD":
                send(h11.Data(data=body))
        send(h11.EndOfMessage())
        await writer.drain()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> None:
        websocket = WSConnection(ConnectionType.SERVER)
        fields = [(name.encode(), value.encode("latin-1")) for name, value in seen.fields]
        websocket.initiate_upgrade_connection(fields, seen.target)
        while True:
            for event in websocket.events():
                if isinstance(event, Request):
                    writer.write(websocket.send(Accept()))
                elif isinstance(event, TextMessage):
                    writer.write(
                        websocket.send(TextMessage(event.data, message_finished=event.message_finished))
                    )
                elif isinstance(event, BytesMessage):
                    data = bytes(event.data)
                    writer.write(websocket.send(BytesMessage(data, message_finished=event.message_finished)))
                elif isinstance(event, Ping):
                    writer.write(websocket.send(event.response()))
                elif isinstance(event, CloseConnection):
                    writer.write(websocket.send(event.response()))
                    return
            websocket.receive_data(await reader.read(65536) or None)


@contextlib.asynccontextmanager
async def running_upstream(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Upstream]:
    """Run an upstream as long as the block."""
    # Where a client's end of another connection cannot be in the way when it comes back after a stop.
    upstream = Upstream(port or any_free(), host)
    await upstream.start()
    try:
        yield upstream
    finally:
        upstream.events.put_nowait(None)
        await upstream.stop()
