"""A whole connection in memory: raw bytes in, raw bytes out, and an application that notes what it sees."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

from pierhead import Request, Response, WebSocket
from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.testing import Client

__all__ = ["Answer", "Recorder", "Wire", "answers", "connect"]


@dataclasses.dataclass(frozen=True)
class Noted:
    """A request as the application saw it."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""
    trailers: tuple[tuple[bytes, bytes], ...] = ()


class Recorder:
    """An application that reads every request to its end, notes it, and answers with a count."""

    name = "recorder"

    def __init__(self) -> None:
        self.noted: list[Noted] = []

    def start_master(self) -> None:
        """Nothing to start."""

    def stop_master(self) -> None:
        """Nothing to stop."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def respond(self, request: Request) -> Response:
        """Note a whole request; one whose body turns out wrong is no request."""
        try:
            body = await request.body()
        except HTTPError as error:
            return Response.problem(error.status, error.detail)
        except ClientDisconnected as error:
            return Response.problem(400, str(error))
        self._note(request, body)
        return Response.text(f"request {len(self.noted)}")

    async def converse(self, socket: WebSocket) -> None:
        """Accept, and echo."""
        await socket.accept()
        self._note(socket.request, b"")
        async for message in socket:
            await socket.send(message)

    def _note(self, request: Request, body: bytes) -> None:
        headers, trailers = tuple(request.headers.raw), tuple(request.trailers.raw)
        self.noted.append(
            Noted(request.method, request.target, request.http_version, headers, body, trailers)
        )


class Wire:
    """Sends bytes over connections to one server, each its own."""

    def __init__(self, client: Client, app: Recorder) -> None:
        self._client = client
        self._app = app

    def send(self, pieces: Iterable[bytes]) -> tuple[bytes, list[Noted]]:
        """Send the pieces and the end of the connection; returns all the answer, and what the app noted."""
        self._app.noted.clear()

        async def exchange() -> bytes:
            transport = await self._client._connect()
            for piece in pieces:
                transport.send(piece)
            transport.send_eof()
            answer = bytearray()
            while piece := await transport.receive():
                answer += piece
            return bytes(answer)

        return self._client._call(exchange()), list(self._app.noted)


@contextlib.contextmanager
def connect() -> Iterator[Wire]:
    """Start a server whose application is a Recorder."""
    app = Recorder()
    # Only the codec's limit of bodies counts, and all that comes is for HTTP/1.
    with Client(app, max_buffered_body_bytes=1 << 30, http2="off") as client:
        yield Wire(client, app)


@dataclasses.dataclass(frozen=True)
class Answer:
    """One response of several on a connection."""

    status: int
    headers: dict[str, str]
    body: bytes


def answers(data: bytes, methods: Iterable[str]) -> list[Answer]:
    """Take a connection's bytes apart into responses to requests of these methods; 100s are left out.

    Strict: raises AssertionError for a byte that belongs to no response, and for one without its length.
    """
    found: list[Answer] = []
    asked = iter(methods)
    while data:
        head, empty_line, data = data.partition(b"\r\n\r\n")
        assert empty_line, head
        status_line, *lines = head.decode("latin-1").split("\r\n")
        version, code, _ = status_line.split(" ", 2)
        assert version == "HTTP/1.1", status_line
        headers: dict[str, str] = {}
        for name, value in (line.split(": ", 1) for line in lines):
            assert name == "Connection" or name.lower() not in headers, lines  # the one list among them
            headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
        status = int(code)
        if status == 100:
            continue
        size = 0
        if status == 101:
            size = len(data)
        elif next(asked, "") != "HEAD":
            size = int(headers["content-length"])
        assert len(data) >= size, (size, data)
        found.append(Answer(status, headers, data[:size]))
        data = data[size:]
    return found
