"""The ways a request can take to the application, no web server in between, and the server at their end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pierhead.config import Settings
from pierhead.interfaces.base import Application
from pierhead.interfaces.native import NativeApplication
from pierhead.supervisor.listeners import bind
from pierhead.transports.gateway import CgiConnection
from pierhead.transports.server import Server
from pierhead.transports.stdio import StreamTransport
from tests.certificates import make_certificate
from tests.contract.applications import ByHost, host_of, native
from tests.contract.executable import write_program
from tests.contract.http2 import ask_by_http2
from tests.contract.wire import (
    Answer,
    Ask,
    cgi_answer,
    fastcgi_answer,
    fastcgi_request,
    http_answer,
    http_parts,
    scgi_request,
    variables,
)

__all__ = ["Serving", "Way", "http_way"]

TIMEOUT_S = 90.0
EXPECTS = b"Expect: 100-continue\r\n"
LOCAL = {"REMOTE_ADDR": "127.0.0.1"}


@dataclasses.dataclass(frozen=True)
class Way:
    """A way to ask; `says` has what the application is told otherwise than by HTTP on TCP, by case."""

    ask: Callable[[Ask], Answer]
    says: dict[str, bytes] = dataclasses.field(default_factory=dict)
    at_once: int = 1
    """How many requests to send at a time."""
    port: int = 0
    """Where it is by HTTP on TCP."""
    by_http: bool = True


def http_way(port: int, at_once: int = 1) -> Way:
    """Ask by HTTP."""

    def ask(ask: Ask) -> Answer:
        return http_answer(_exchange(_connect(port), *http_parts(_closing(ask))), ask.method)

    return Way(ask, at_once=at_once, port=port)


class Serving:
    """The application on a listener of every kind, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        certificate, key = make_certificate(folder, "localhost", "DNS:localhost")
        self._settings = Settings(tls_certificate=(str(certificate),), tls_key=(str(key),))
        self._tls = {protocol: _tls_context(certificate, protocol) for protocol in ("http/1.1", "h2")}
        self._unix = str(folder / "http.sock")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._upstream = Server(NativeApplication(native()), Settings())
        self.upstreams: dict[str, int] = {}
        """The ports of the programs that are asked by FastCGI and SCGI."""
        self.ports: dict[str, int] = {}
        self._call(self._start_upstream())
        self._application = ByHost(self.upstreams, write_program(folder / "program"))
        self._application.start_master()
        self._server = Server(self._application, self._settings)
        self._call(self._start())

    def close(self) -> None:
        """Stop."""
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._application.stop_master()

    def application(self, interface: str) -> Application:
        """Return the application behind an interface."""
        return self._application.applications[host_of(interface)]

    def ways(self) -> dict[str, Way]:
        """Return the ways by name."""
        nobody = {"the client": b"unix:"}
        return {
            "HTTP/1.1": http_way(self.ports["http"]),
            "HTTP/1.1 on a unix socket": Way(self._ask_unix, nobody),
            "HTTPS": Way(self._ask_https, {"the scheme": b"https"}),
            "HTTP/1.1 on standard input and output": Way(self._ask_stdio, nobody),
            "HTTP/2": Way(self._ask_http2),
            "HTTP/2 over TLS": Way(self._ask_http2_over_tls, {"the scheme": b"https"}),
            "FastCGI": Way(self._ask_fastcgi, by_http=False),
            "SCGI": Way(self._ask_scgi, by_http=False),
            "CGI": Way(self._ask_cgi, by_http=False),
        }

    async def _start(self) -> None:
        await self._server.start()
        for protocol in ("http", "https", "fastcgi", "scgi"):
            self.ports[protocol] = await _listen(self._server, f"{protocol}://127.0.0.1:0")
        await _listen(self._server, f"http://unix:{self._unix}")

    async def _start_upstream(self) -> None:
        await self._upstream.start()
        for protocol in ("fastcgi", "scgi"):
            self.upstreams[protocol] = await _listen(self._upstream, f"{protocol}://127.0.0.1:0")

    async def _stop(self) -> None:
        for server in (self._server, self._upstream):
            await server.drain(60.0)
            await server.close()

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT_S)

    def _ask_unix(self, ask: Ask) -> Answer:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(TIMEOUT_S)
        client.connect(self._unix)
        return http_answer(_exchange(client, *http_parts(_closing(ask))), ask.method)

    def _ask_https(self, ask: Ask) -> Answer:
        return http_answer(_exchange(self._connect_tls("http/1.1"), *http_parts(_closing(ask))), ask.method)

    def _ask_http2(self, ask: Ask) -> Answer:
        return ask_by_http2(_connect(self.ports["http"]), ask, "http")

    def _ask_http2_over_tls(self, ask: Ask) -> Answer:
        return ask_by_http2(self._connect_tls("h2"), ask, "https")

    def _connect_tls(self, protocol: str) -> ssl.SSLSocket:
        client = self._tls[protocol].wrap_socket(_connect(self.ports["https"]), server_hostname="localhost")
        assert client.selected_alpn_protocol() == protocol
        return client

    def _ask_fastcgi(self, ask: Ask) -> Answer:
        request = fastcgi_request(dataclasses.replace(ask, variables=LOCAL))
        return fastcgi_answer(_exchange(_connect(self.ports["fastcgi"]), b"", request), ask.method)

    def _ask_scgi(self, ask: Ask) -> Answer:
        request = scgi_request(dataclasses.replace(ask, variables=LOCAL))
        return cgi_answer(_exchange(_connect(self.ports["scgi"]), b"", request), ask.method)

    def _ask_stdio(self, ask: Ask) -> Answer:
        return http_answer(self._on_pipes(self._server.connect, *http_parts(_closing(ask))), ask.method)

    def _ask_cgi(self, ask: Ask) -> Answer:
        path = unquote(ask.target.partition("?")[0], "latin-1")
        told = {**LOCAL, "CONTENT_LENGTH": str(len(ask.body)), "SCRIPT_NAME": "", "PATH_INFO": path}
        found = variables(dataclasses.replace(ask, variables=told))
        environment = {name.encode(): value.encode("latin-1") for name, value in found.items()}
        data = self._on_pipes(lambda: CgiConnection(self._server, environment), b"", ask.body)
        return cgi_answer(data, ask.method)

    def _on_pipes(self, connect: Callable[[], asyncio.Protocol], head: bytes, body: bytes) -> bytes:
        """Send data by a pipe, and return what comes back by another."""
        theirs_in, into = os.pipe()
        out, theirs_out = os.pipe()

        async def begin() -> None:
            StreamTransport(connect(), theirs_in, theirs_out).begin()

        self._call(begin())
        with (
            open(into, "wb", buffering=0) as theirs,  # noqa: PTH123 - a descriptor
            open(out, "rb", buffering=0) as ours,  # noqa: PTH123 - a descriptor
        ):

            def send(data: bytes) -> None:
                rest = memoryview(data)
                while rest:
                    rest = rest[theirs.write(rest) :]

            return _converse(send, lambda: ours.read(1 << 16), theirs.close, head, body)


def _tls_context(certificate: Path, protocol: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate))
    context.set_alpn_protocols([protocol])
    return context


async def _listen(server: Server, url: str) -> int:
    """Have a server listen; returns the port, 0 where there is none."""
    bound = bind(url, 100)
    port: int = 0 if bound.url.path else bound.getsockname()[1]
    await server.listen(bound, url)
    return port


def _closing(ask: Ask) -> Ask:
    return dataclasses.replace(ask, fields=[*ask.fields, ("Connection", "close")])


def _connect(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _exchange(client: socket.socket, head: bytes, body: bytes) -> bytes:
    """Send a request and return all that comes until the end, however long either is."""
    with client:
        if isinstance(client, ssl.SSLSocket) and EXPECTS not in head:  # not for two threads at a time
            client.sendall(head + body)
            head = body = b""

        def receive() -> bytes:
            try:
                return client.recv(1 << 16)
            except ConnectionResetError:  # by who answers before it has read everything
                return b""

        return _converse(client.sendall, receive, lambda: None, head, body)


def _converse(
    send: Callable[[bytes], object],
    receive: Callable[[], bytes],
    done: Callable[[], object],
    head: bytes,
    body: bytes,
) -> bytes:
    """Send head and body, say that it is `done`, and return all that comes."""
    answer = bytearray()
    if EXPECTS in head:
        send(head)
        while b"\r\n\r\n" not in answer:
            piece = receive()
            assert piece, f"the response ended early: {bytes(answer)!r}"
            answer += piece
        head = b""
        if not answer.startswith(b"HTTP/1.1 100 "):
            body = b""

    def write() -> None:
        with contextlib.suppress(OSError):
            send(head + body)
        done()

    sender = threading.Thread(target=write)
    sender.start()
    if not head:  # nothing comes before all of it is there: and by TLS one thread is enough
        sender.join()
    while piece := receive():
        answer += piece
    sender.join()
    return bytes(answer)
