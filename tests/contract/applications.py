"""The application of `behaviour` behind every interface, and one that passes requests on to these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pierhead.interfaces.adapt import adapt
from pierhead.interfaces.base import Application
from pierhead.messages.request import Request
from pierhead.messages.response import Response
from tests.contract.behaviour import Asked, Said, answer
from tests.contract.program import fields_of

if TYPE_CHECKING:
    from pierhead import App
    from pierhead.messages.websocket import WebSocket

__all__ = ["INTERFACES", "ByHost", "host_of", "native"]


def native() -> App:
    """As a native App."""
    from pierhead import App

    app = App("native")

    @app.endpoint(priority=1)
    async def everything(request: Request) -> Response:
        said = answer(
            Asked(
                method=request.method,
                path=unquote(request.path),
                query=request.query_string,
                fields=list(request.headers.items()),
                body=await request.body(),
                # Behind FastCGI and SCGI a client on a unix socket has no address.
                client=request.client.host.replace("unknown", "unix:") if request.client else "",
                scheme=request.scheme,
            )
        )
        whole = b"".join(said.pieces)
        response = Response.stream(_pieces(said)) if said.streamed else Response(whole)
        response.status = said.status
        response.headers.raw.clear()
        for name, value in said.fields:
            response.headers.add(name, value)
        return response

    return app


async def _pieces(said: Said) -> AsyncIterator[bytes]:
    for piece in said.pieces:
        yield piece


async def asgi(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """As an ASGI application."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    said = answer(
        Asked(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode(),
            fields=[(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]],
            body=body,
            client=scope["client"][0] if scope["client"] else "unix:",
            scheme=scope["scheme"],
        )
    )
    fields = [(name.encode(), value.encode("latin-1")) for name, value in said.fields]
    pieces = list(said.pieces)
    if not said.streamed and said.status not in {204, 304}:
        fields.append((b"Content-Length", b"%d" % sum(map(len, pieces))))
    await send({"type": "http.response.start", "status": said.status, "headers": fields})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """As a WSGI application."""
    said = answer(
        Asked(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"].encode("latin-1").decode(),
            query=environ["QUERY_STRING"],
            fields=fields_of(environ),
            body=environ["wsgi.input"].read(),
            client=environ["REMOTE_ADDR"] or "unix:",
            scheme=environ["wsgi.url_scheme"],
        )
    )
    pieces = list(said.pieces)
    response_fields = list(said.fields)
    if not said.streamed and said.status not in {204, 304}:
        response_fields.append(("Content-Length", str(sum(map(len, pieces)))))
    start_response(f"{said.status} Said", response_fields)
    return iter(pieces)


INTERFACES = ("native", "isolated", "asgi", "wsgi", "CGI program", "FastCGI program", "SCGI program")
"""By what an application is called.

`isolated` is native, each request in a process of its own; the three last are programs, as in any language.
"""


def host_of(interface: str) -> str:
    """Return the host name of the application behind an interface."""
    return f"{interface.lower().replace(' ', '-')}.example"


def make(interface: str, upstreams: Mapping[str, int], program: Path) -> Application:
    """Return the application behind an interface; `upstreams` are ports by protocol, where it is running."""
    if interface == "native":
        return adapt(native(), name="native")
    if interface == "isolated":
        from tests.contract.isolated import IsolatedApplication

        return IsolatedApplication(adapt(native(), name="isolated"))
    if interface == "asgi":
        return adapt(asgi, interface="asgi", name="asgi")
    if interface == "wsgi":
        return adapt(wsgi, interface="wsgi", name="wsgi")
    from pierhead.interfaces.gateway import FastCGIApplication, ProgramApplication, ScgiApplication

    if interface == "CGI program":
        return ProgramApplication(program)
    if interface == "FastCGI program":
        return FastCGIApplication(f"fastcgi://127.0.0.1:{upstreams['fastcgi']}", idle_connections=4)
    return ScgiApplication(f"scgi://127.0.0.1:{upstreams['scgi']}")


async def _events(file: Path) -> AsyncIterator[bytes]:
    """Yield one event, and another one once there is a file."""
    yield b"data: first\n\n"
    while not file.exists():  # noqa: ASYNC110 - it may be made by another process
        await asyncio.sleep(0.02)
    yield b"data: last\n\n"


class ByHost:
    """Passes a request on to the application that its host is called after, as in asgi.example."""

    name = "by host"

    def __init__(self, upstreams: Mapping[str, int], program: Path, only: str | None = None) -> None:
        """Make all applications, or `only` the one with that host name."""
        hosts = {host_of(name): name for name in INTERFACES}
        self.applications = {
            host: make(name, upstreams, program) for host, name in hosts.items() if only in {None, host}
        }

    def start_master(self) -> None:
        for application in self.applications.values():
            application.start_master()

    def stop_master(self) -> None:
        for application in self.applications.values():
            application.stop_master()

    async def start(self) -> None:
        for application in self.applications.values():
            await application.start()

    async def stop(self) -> None:
        for application in self.applications.values():
            await application.stop()

    async def respond(self, request: Request) -> Response | None:
        if request.path == "/events":
            return Response.stream(_events(Path(request.query["until"])), content_type="text/event-stream")
        application = self.applications.get(request.host.partition(":")[0])
        if application is None:
            return Response.text("ready")
        return await application.respond(request)

    async def converse(self, socket: WebSocket) -> None:
        raise NotImplementedError("there are no WebSockets here")
