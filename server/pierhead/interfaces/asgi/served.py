"""An App as an ASGI application: what it needs to run under any ASGI server."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections import deque
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from pierhead.errors import ClientDisconnected, WebSocketClosed
from pierhead.interfaces.asgi.scope import Message, Receive, Scope, Send
from pierhead.interfaces.conversation import converse
from pierhead.interfaces.first import until_one_ends
from pierhead.interfaces.native import NativeApplication
from pierhead.messages.files import FileBody, file_pieces
from pierhead.messages.headers import HeaderItems, Headers, RawHeaders
from pierhead.messages.request import Address, Request
from pierhead.messages.response import Response
from pierhead.messages.websocket import WebSocket

if TYPE_CHECKING:
    from pierhead.app import App

__all__ = ["ServedApp"]

_MOST_AHEAD_BYTES = 256 << 10
_BODILESS = frozenset({204, 304})
_PATH_SAFE = "/!$&'()*+,;=:@-._~"


class ServedApp:
    """Runs an App for an ASGI server.

    What is the server's there is not done here: its limits, deadlines, health paths, logs, and whom it
    believes about clients. Start hooks, those per master too, run in the server's lifespan.
    """

    def __init__(self, app: App) -> None:
        self._application = NativeApplication(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do what ASGI 3 asks of an application; raises ValueError for an unknown type of scope."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._respond(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._converse(scope, receive, send)
        else:
            raise ValueError(f"an App does not know what to do with a scope of type {scope['type']!r}")

    async def _live(self, receive: Receive, send: Send) -> None:
        application = self._application
        await receive()
        try:
            application.start_master()
            try:
                await application.start()
            except BaseException:
                application.stop_master()
                raise
        except Exception:  # noqa: BLE001 - told to the server
            await send({"type": "lifespan.startup.failed", "message": traceback.format_exc()})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            try:
                await application.stop()
            finally:
                application.stop_master()
        except Exception:  # noqa: BLE001 - told to the server
            await send({"type": "lifespan.shutdown.failed", "message": traceback.format_exc()})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        reader = _Body(receive)
        request = _request(scope, reader)
        try:
            response = await self._application.respond(request)
            with contextlib.suppress(ClientDisconnected):
                await _send(response, scope, reader, send)
        finally:
            await request.close()

    async def _converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        channel = _Channel(scope, receive, send)
        socket = WebSocket(_request(scope, None), channel, scope.get("subprotocols", ()))
        with contextlib.suppress(ClientDisconnected, WebSocketClosed):
            await converse(self._application, socket)


class _Body:
    """Implements `pierhead.messages.body.BodyReader` on `receive`."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.trailers = Headers()
        self.ended = False
        self._left = False
        self._ahead: deque[bytes] = deque()  # what came while somebody waited for the client to leave
        self._ahead_bytes = 0
        self._room = asyncio.Event()
        self._turn = asyncio.Lock()  # who has it may call `receive`; who reads comes before who waits again

    async def read(self) -> bytes:
        while not (self._ahead or self.ended):
            async with self._turn:
                if not (self._ahead or self.ended):
                    await self._take()
        if not self._ahead:
            return b""
        piece = self._ahead.popleft()
        self._ahead_bytes -= len(piece)
        self._room.set()
        return piece

    async def disconnect(self) -> None:
        """Wait until the client has left; of a body that is still to be read it takes little ahead."""
        while not self._left:
            if self._ahead_bytes >= _MOST_AHEAD_BYTES:
                self._room.clear()
                await self._room.wait()
            async with self._turn:
                if not self._left:
                    with contextlib.suppress(ClientDisconnected):
                        await self._take()

    async def _take(self) -> None:
        """Take what comes next; raises ClientDisconnected."""
        message = {} if self._left else await self._receive()
        if message.get("type") != "http.request":
            self._left = True
            raise ClientDisconnected("the client closed the connection")
        self.ended = not message.get("more_body", False)
        if piece := message.get("body", b""):
            self._ahead.append(bytes(piece))
            self._ahead_bytes += len(piece)


def _request(scope: Scope, reader: _Body | None) -> Request:
    headers = Headers.from_raw([(bytes(name), bytes(value)) for name, value in scope["headers"]])
    if reader is not None and scope["http_version"].startswith("1"):
        # HTTP/1 says in its head whether there is a body.
        reader.ended = "Content-Length" not in headers and "Transfer-Encoding" not in headers
    root_path = quote(scope.get("root_path", ""), safe=_PATH_SAFE).rstrip("/")
    raw = scope.get("raw_path")
    path = raw.partition(b"?")[0].decode("latin-1") if raw else quote(scope["path"], safe=_PATH_SAFE)
    if path == root_path or path.startswith(f"{root_path}/"):  # servers differ on whether it is in the path
        path = path[len(root_path) :] or "/"
    query = scope.get("query_string", b"").decode("latin-1")
    scheme: str = scope.get("scheme", "http")
    request = Request(
        scope.get("method", "GET"),
        f"{path}?{query}" if query else path,
        headers,
        reader=None if reader is None or reader.ended else reader,
        http_version=scope["http_version"],
        scheme={"ws": "http", "wss": "https"}.get(scheme, scheme),
        client=_address(scope.get("client")),
        server=_address(scope.get("server")),
    )
    request.root_path = root_path
    return request


def _address(pair: Any) -> Address | None:
    if pair is None:
        return None
    host, port = pair
    return Address(host, port) if port is not None else Address(f"unix:{host}", None)


async def _send(response: Response, scope: Scope, reader: _Body, send: Send) -> None:
    """Send a response, and stop when the client leaves; an OSError that says so is a ClientDisconnected."""
    fields = [(name.lower(), value) for name, value in response.headers.raw]
    body = response.body
    if isinstance(body, bytes):
        if response.status not in _BODILESS and all(name != b"content-length" for name, _ in fields):
            fields.append((b"content-length", b"%d" % len(body)))
        body = b"" if scope["method"] == "HEAD" else body
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": fields})
        if isinstance(body, bytes):
            await send({"type": "http.response.body", "body": body})
        elif isinstance(body, FileBody):
            await _send_file(body, scope, reader, send)
        elif scope["method"] == "HEAD":
            await send({"type": "http.response.body"})
        else:
            await _while_connected(body, reader, send)
    except OSError as error:
        raise ClientDisconnected(str(error)) from None
    finally:
        if hasattr(response.body, "aclose"):
            await response.body.aclose()


async def _send_file(body: FileBody, scope: Scope, reader: _Body, send: Send) -> None:
    whole = body.offset == 0 and body.length == body.size
    if scope["method"] == "HEAD":
        await send({"type": "http.response.body"})
    elif whole and "http.response.pathsend" in scope.get("extensions", {}):
        await send({"type": "http.response.pathsend", "path": str(body.path.absolute())})
    else:
        await _while_connected(file_pieces(body), reader, send)


async def _while_connected(pieces: AsyncIterable[bytes], reader: _Body, send: Send) -> None:
    """Send pieces until they end or the client leaves, which not every server tells by an error of `send`."""
    sending, _ = await until_one_ends(_send_pieces(pieces, send), reader.disconnect())
    if not sending.cancelled():
        sending.result()


async def _send_pieces(pieces: AsyncIterable[bytes], send: Send) -> None:
    async for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


class _Channel:
    """Implements `pierhead.messages.websocket.WebSocketChannel` on `receive` and `send`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._can_deny = "websocket.http.response" in scope.get("extensions", {})
        self._receive = receive
        self._send = send

    async def accept(self, subprotocol: str | None, headers: HeaderItems) -> None:
        fields = [(name.lower(), value) for name, value in Headers(headers).raw]
        await self._tell({"type": "websocket.accept", "subprotocol": subprotocol, "headers": fields})

    async def reject(self, response: Response) -> None:
        if not self._can_deny:
            await self._tell({"type": "websocket.close"})
            return
        fields: RawHeaders = [(name.lower(), value) for name, value in response.headers.raw]
        start = {"type": "websocket.http.response.start", "status": response.status, "headers": fields}
        await self._tell(start)
        await self._tell({"type": "websocket.http.response.body", "body": response.body})

    async def disconnect(self) -> None:
        while True:
            await self.receive()

    async def receive(self) -> str | bytes:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketClosed(message.get("code", 1005), message.get("reason") or "")
        text = message.get("text")
        return cast("str | bytes", message["bytes"] if text is None else text)

    async def send(self, message: str | bytes) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        await self._tell({"type": "websocket.send", kind: message})

    async def ping(self, payload: bytes) -> None:
        """Leave it to the server, which pings by itself: ASGI has no message for it."""

    async def close(self, code: int, reason: str) -> None:
        with contextlib.suppress(WebSocketClosed):
            await self._tell({"type": "websocket.close", "code": code, "reason": reason})

    async def _tell(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as error:
            raise WebSocketClosed(1006, str(error)) from None
