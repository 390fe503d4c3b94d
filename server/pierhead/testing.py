r"""Testing an application without a socket, and a server with raw bytes.

    with Client(app) as client:
        response = client.get("/user/1")
        assert response.json() == {"id": 1}

    assert handle_raw(app, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 OK")

Every request goes through the whole server, from its bytes to the response's: parsing, limits, routing,
framing. Only the socket is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json as json_module
import secrets
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import h11

from pierhead.app import App
from pierhead.config import Settings
from pierhead.errors import WebSocketClosed, reason_phrase
from pierhead.interfaces.adapt import adapt
from pierhead.interfaces.asgi.scope import ASGIApp
from pierhead.interfaces.base import Application
from pierhead.interfaces.wsgi import WSGIApp
from pierhead.messages.headers import Headers
from pierhead.protocols.websocket import Closed, Message, WebSocketCodec
from pierhead.transports.memory import MemoryTransport
from pierhead.transports.server import Server

__all__ = ["Client", "ClientResponse", "ClientStream", "ClientWebSocket", "handle_raw"]

HeaderItems = Mapping[str, str] | Iterable[tuple[str, str]]
_T = TypeVar("_T")


def handle_raw(app: App | Application | ASGIApp | WSGIApp, data: bytes, **settings: Any) -> bytes:
    """Send raw bytes to a fresh server as one connection that then closes its sending side.

    Returns all the server answers until it closes; `settings` are fields of `pierhead.config.Settings`.
    """

    async def run() -> bytes:
        chosen = _settings(settings)
        server = Server(adapt(app, interface=chosen.interface), chosen)
        await server.start()
        try:
            transport = MemoryTransport(server.connect())
            transport.send(data)
            transport.send_eof()
            answer = bytearray()
            while piece := await transport.receive():
                answer += piece
            return bytes(answer)
        finally:
            await server.drain(1.0)
            await server.close()

    return asyncio.run(run())


@dataclasses.dataclass(frozen=True, slots=True)
class ClientResponse:
    """A whole response."""

    status: int
    reason: str
    headers: Headers
    body: bytes
    http_version: str = "1.1"

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body as JSON."""
        return json_module.loads(self.body)


class Client:
    """Sends requests to an application in a server of its own, with an event loop in a thread of its own.

    As a context manager it runs the application's start and stop hooks; without `with` it starts at the
    first request and is stopped by `close`. Cookies are not kept: a test says what it sends. `base_url` gives
    the Host field and, with https, a connection that looks like TLS; `client` is the peer's address.
    """

    def __init__(
        self,
        app: App | Application | ASGIApp | WSGIApp,
        /,
        *,
        base_url: str = "http://testserver",
        client: tuple[str, int] = ("127.0.0.1", 50000),
        timeout_s: float = 30.0,
        **settings: Any,
    ) -> None:
        self._settings = _settings(settings)
        self._application = adapt(app, interface=self._settings.interface)
        scheme, _, host = base_url.partition("://")
        self._host = host.rstrip("/")
        self._transport = _SecureTransport if scheme == "https" else MemoryTransport
        self._client = client
        self._timeout_s = timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self._ensure()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Requests

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: HeaderItems = (),
        params: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
        content: bytes | str | Iterable[bytes] | None = None,
        data: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        json: Any = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
    ) -> ClientResponse:
        """Send a request and return its whole response.

        The body is `content` (an iterable is sent chunked), a form of `data` (multipart with `files`: field
        name → filename, content, media type), or `json`. Raises ConnectionError when the server closes before
        the response is complete, TimeoutError after `timeout_s`.
        """
        with self.stream(
            method, target, headers=headers, params=params, content=content, data=data, json=json, files=files
        ) as stream:
            body = b"".join(stream)
            return ClientResponse(stream.status, stream.reason, stream.headers, body, stream.http_version)

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        target: str,
        *,
        headers: HeaderItems = (),
        params: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
        content: bytes | str | Iterable[bytes] | None = None,
        data: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        json: Any = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
    ) -> Iterator[ClientStream]:
        """Send a request and give the response while it comes; leaving the block disconnects."""
        fields, pieces = _body(content, data, json, files)
        raw_fields = self._fields(fields, headers)
        pairs = list(params.items() if isinstance(params, Mapping) else params)
        if pairs:
            target += ("&" if "?" in target else "?") + urlencode(pairs, doseq=True)
        connection = h11.Connection(h11.CLIENT)
        out = [connection.send(h11.Request(method=method, target=target, headers=raw_fields)) or b""]
        out += [connection.send(h11.Data(data=piece)) or b"" for piece in pieces]
        out.append(connection.send(h11.EndOfMessage()) or b"")
        transport = self._call(self._connect())
        try:
            for piece in out:
                self._do(transport.send, piece)
            yield ClientStream(self, transport, connection)
        finally:
            self._do(transport.disconnect)

    def get(self, target: str, **options: Any) -> ClientResponse:
        """Send GET; the options are those of `request`."""
        return self.request("GET", target, **options)

    def head(self, target: str, **options: Any) -> ClientResponse:
        """Send HEAD; the options are those of `request`."""
        return self.request("HEAD", target, **options)

    def options(self, target: str, **options: Any) -> ClientResponse:
        """Send OPTIONS; the options are those of `request`."""
        return self.request("OPTIONS", target, **options)

    def post(self, target: str, **options: Any) -> ClientResponse:
        """Send POST; the options are those of `request`."""
        return self.request("POST", target, **options)

    def put(self, target: str, **options: Any) -> ClientResponse:
        """Send PUT; the options are those of `request`."""
        return self.request("PUT", target, **options)

    def patch(self, target: str, **options: Any) -> ClientResponse:
        """Send PATCH; the options are those of `request`."""
        return self.request("PATCH", target, **options)

    def delete(self, target: str, **options: Any) -> ClientResponse:
        """Send DELETE; the options are those of `request`."""
        return self.request("DELETE", target, **options)

    @contextlib.contextmanager
    def websocket(
        self, target: str, *, headers: HeaderItems = (), subprotocols: Iterable[str] = ()
    ) -> Iterator[ClientWebSocket]:
        """Open a WebSocket; leaving the block closes it with 1000.

        Raises WebSocketRejected where the application answers with an ordinary response.
        """
        handshake = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        if offered := ", ".join(subprotocols):
            handshake.append(("Sec-WebSocket-Protocol", offered))
        connection = h11.Connection(h11.CLIENT)
        fields = self._fields(handshake, headers)
        opening = connection.send(h11.Request(method="GET", target=target, headers=fields)) or b""
        transport = self._call(self._connect())
        try:
            self._do(transport.send, opening + (connection.send(h11.EndOfMessage()) or b""))
            stream = ClientStream(self, transport, connection)
            if stream.status != 101:
                body = b"".join(stream)
                raise WebSocketRejected(ClientResponse(stream.status, stream.reason, stream.headers, body))
            socket = ClientWebSocket(self, transport, stream.headers, connection.trailing_data[0])
            yield socket
            socket.close()
        finally:
            self._do(transport.disconnect)

    def raw(self, data: bytes) -> bytes:
        """Send raw bytes as one connection that then closes its sending side; returns all the answer."""

        async def exchange() -> bytes:
            transport = await self._connect()
            transport.send(data)
            transport.send_eof()
            answer = bytearray()
            while piece := await transport.receive():
                answer += piece
            return bytes(answer)

        return self._call(exchange())

    def close(self) -> None:
        """Stop the application and the server; a later request starts them again."""
        if self._loop is None or self._server is None or self._thread is None:
            return
        server = self._server

        async def stop() -> None:
            await server.drain(self._timeout_s)
            await server.close()

        try:
            self._call(stop())
        finally:
            self._stop_loop()

    # Inside

    def _ensure(self) -> None:
        if self._loop is not None:
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pierhead-client", daemon=True)
        self._thread.start()
        self._application.start_master()
        self._server = Server(self._application, self._settings)
        try:
            self._call(self._server.start())
        except BaseException:
            self._stop_loop()
            raise

    def _stop_loop(self) -> None:
        loop, thread = self._loop, self._thread
        assert loop is not None
        assert thread is not None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        self._loop = self._thread = self._server = None
        self._application.stop_master()

    async def _connect(self) -> MemoryTransport:
        assert self._server is not None
        return self._transport(self._server.connect(), client=self._client)

    def _call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the client's loop and wait for it."""
        if self._loop is None:
            self._ensure()
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(self._timeout_s)

    def _do(self, function: Any, *arguments: Any) -> None:
        """Call a function on the client's loop."""

        async def call() -> None:
            function(*arguments)

        self._call(call())

    def _fields(self, own: list[tuple[str, str]], headers: HeaderItems) -> list[tuple[str, str]]:
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        names = {name.lower() for name, _ in given}
        return [
            (name, value) for name, value in [("Host", self._host), *own] if name.lower() not in names
        ] + given


class _SecureTransport(MemoryTransport):
    """Says that it is TLS, for requests whose scheme is to be https."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is asked for; of TLS only that there is some."""
        return self if name == "ssl_object" else super().get_extra_info(name, default)


class WebSocketRejected(ConnectionError):
    """The application answered a WebSocket handshake with an ordinary `response`."""

    def __init__(self, response: ClientResponse) -> None:
        super().__init__(f"the WebSocket was rejected with {response.status} {response.reason}")
        self.response = response


class ClientStream:
    """A response while it comes: status and headers at once, the body by iteration."""

    def __init__(self, client: Client, transport: MemoryTransport, connection: h11.Connection) -> None:
        self._client = client
        self._transport = transport
        self._connection = connection
        self.trailers = Headers()
        """The trailer fields, after the last piece of the body."""
        event = self._next()
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            event = self._next()
        assert isinstance(event, h11.Response | h11.InformationalResponse)
        self.status: int = event.status_code
        self.reason = bytes(event.reason).decode("latin-1") or reason_phrase(self.status)
        self.headers = Headers(list(event.headers.raw_items()))
        self.http_version = bytes(event.http_version).decode()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            event = self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.trailers = Headers(list(event.headers.raw_items()))
                return
            else:
                return

    def _next(self) -> Any:
        try:
            while (event := self._connection.next_event()) is h11.NEED_DATA:
                self._connection.receive_data(self._client._call(self._transport.receive()))
        except h11.RemoteProtocolError as error:
            raise ConnectionError(f"the response is broken off or malformed: {error}") from error
        if isinstance(event, h11.ConnectionClosed):
            raise ConnectionError("the server closed the connection without a response")
        return event


class ClientWebSocket:
    """The client's end of a WebSocket."""

    def __init__(self, client: Client, transport: MemoryTransport, headers: Headers, ahead: bytes) -> None:
        self.headers = headers
        """The header fields of the 101 response."""
        self.subprotocol = headers.get("Sec-WebSocket-Protocol")
        self._client = client
        self._transport = transport
        self._codec = WebSocketCodec(1 << 30, client=True)
        self._messages: list[str | bytes] = []
        self._closed: WebSocketClosed | None = None
        self._feed(ahead)

    def send(self, message: str | bytes) -> None:
        """Send a message: text for `str`, binary for `bytes`."""
        self._client._do(self._transport.send, self._codec.message(message))

    def receive(self) -> str | bytes:
        """Return the next message; raises WebSocketClosed with the server's code at the end."""
        while not self._messages:
            if self._closed is not None:
                raise self._closed
            self._feed(self._client._call(self._transport.receive()) or None)
        return self._messages.pop(0)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close and wait for the server's close; does nothing once closed."""
        if self._closed is None:
            self._client._do(self._transport.send, self._codec.close(code, reason))
            while self._closed is None:
                self._feed(self._client._call(self._transport.receive()) or None)

    @property
    def close_code(self) -> int | None:
        """The code the WebSocket was closed with, None while it is open."""
        return None if self._closed is None else self._closed.code

    def _feed(self, data: bytes | None) -> None:
        if data is None:
            self._closed = self._closed or WebSocketClosed(1006, "the server closed the connection")
            return
        for event in self._codec.feed(data):
            if isinstance(event, Message):
                self._messages.append(event.data)
            elif isinstance(event, Closed):
                self._closed = WebSocketClosed(event.code, event.reason)
        if output := self._codec.take_output() + self._codec.finish():
            self._client._do(self._transport.send, output)


def _settings(changes: Mapping[str, Any]) -> Settings:
    return dataclasses.replace(Settings(), **changes)


def _body(
    content: bytes | str | Iterable[bytes] | None,
    data: Mapping[str, Any] | Iterable[tuple[str, Any]] | None,
    json: Any,
    files: Mapping[str, tuple[str, bytes, str]] | None,
) -> tuple[list[tuple[str, str]], list[bytes]]:
    """Return the header fields and the pieces of a request body."""
    kind = ""
    if files is not None:
        boundary = secrets.token_hex(16)
        kind = f"multipart/form-data; boundary={boundary}"
        content = _multipart(boundary, data or {}, files)
    elif data is not None:
        kind = "application/x-www-form-urlencoded"
        content = urlencode(list(data.items() if isinstance(data, Mapping) else data), doseq=True)
    elif json is not None:
        kind = "application/json"
        content = json_module.dumps(json)
    fields = [("Content-Type", kind)] if kind else []
    if content is None:
        return fields, []
    if isinstance(content, str):
        content = content.encode()
    if isinstance(content, bytes):
        return [*fields, ("Content-Length", str(len(content)))], [content]
    return [*fields, ("Transfer-Encoding", "chunked")], list(content)


def _multipart(
    boundary: str,
    data: Mapping[str, Any] | Iterable[tuple[str, Any]],
    files: Mapping[str, tuple[str, bytes, str]],
) -> bytes:
    """Render a multipart/form-data body (RFC 7578)."""
    parts = bytearray()
    for name, value in data.items() if isinstance(data, Mapping) else data:
        parts += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, (filename, content, media_type) in files.items():
        disposition = f'form-data; name="{name}"; filename="{filename}"'
        parts += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n".encode()
        parts += f"Content-Type: {media_type}\r\n\r\n".encode() + content + b"\r\n"
    return bytes(parts + f"--{boundary}--\r\n".encode())
