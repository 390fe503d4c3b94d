"""Client: requests to an application, from their bytes to the response's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import h11

from pierhead.testing.bodies import Files, request_body
from pierhead.testing.responses import ClientResponse, ClientStream
from pierhead.testing.runner import AnyApp, Runner
from pierhead.testing.session import CookieJar, Session
from pierhead.testing.websocket import ClientWebSocket, WebSocketRejected

__all__ = ["Client"]

HeaderItems = Mapping[str, str] | Iterable[tuple[str, str]]


class Client(Runner):
    """Sends requests to an application in a server of its own, with an event loop in a thread of its own.

    As a context manager it runs the application's start and stop hooks; without `with` it starts at the
    first request and is stopped by `close`. Cookies are not kept: a test says what it
    sends, or uses `session`. `base_url` gives
    the Host field and, with https, a connection that looks like TLS; `client` is the peer's address.
    """

    def __init__(
        self,
        app: AnyApp,
        /,
        *,
        base_url: str = "http://testserver",
        client: tuple[str, int] = ("127.0.0.1", 50000),
        timeout_s: float = 30.0,
        **settings: Any,
    ) -> None:
        scheme, _, host = base_url.partition("://")
        super().__init__(app, settings, secure=scheme == "https", client=client, timeout_s=timeout_s)
        self._host = host.rstrip("/")

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
        files: Files | None = None,
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
        files: Files | None = None,
    ) -> Iterator[ClientStream]:
        """Send a request and give the response while it comes; leaving the block disconnects."""
        fields, pieces = request_body(content, data, json, files)
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
            return await (await self._connect()).exchange(data)

        return self._call(exchange())

    def session(self, jar: CookieJar | None = None) -> Session:
        """Return a client of the same server that keeps cookies, in `jar` where one is given."""
        return Session(self, jar)

    # Inside

    def _fields(self, own: list[tuple[str, str]], headers: HeaderItems) -> list[tuple[str, str]]:
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        names = {name.lower() for name, _ in given}
        return [
            (name, value) for name, value in [("Host", self._host), *own] if name.lower() not in names
        ] + given
