"""An ASGI application as what a server asks for: lifespan, requests and WebSockets."""

from __future__ import annotations

from pierhead.interfaces.asgi.http import HttpCall
from pierhead.interfaces.asgi.lifespan import Lifespan
from pierhead.interfaces.asgi.scope import ASGIApp, http_scope, websocket_scope
from pierhead.interfaces.asgi.websocket import WebSocketCall
from pierhead.interfaces.collect import CollectedResponse
from pierhead.messages.request import Request
from pierhead.messages.response import Response
from pierhead.messages.websocket import WebSocket

__all__ = ["ASGIApplication"]


class ASGIApplication:
    """Fulfils `pierhead.interfaces.base.Application` for an ASGI 3 application.

    It is called in the task that the transport has for the request, and its messages go to the transport at
    once. What it does after its response keeps that task, but not the connection, busy.
    """

    def __init__(self, app: ASGIApp, *, name: str = "app") -> None:
        self.app = app
        self._name = name
        self._lifespan: Lifespan | None = None
        self._state: dict[str, object] = {}

    @property
    def name(self) -> str:
        """What logs call it."""
        return self._name

    def start_master(self) -> None:
        """Do nothing: ASGI knows of no time before the fork."""

    def stop_master(self) -> None:
        """Do nothing: ASGI knows of no time after the workers."""

    async def start(self) -> None:
        """Run the application's startup; raises LifespanError where it fails."""
        lifespan = Lifespan(self.app, self._name)
        await lifespan.start()
        self._lifespan = lifespan
        self._state = lifespan.state

    async def stop(self) -> None:
        """Run the application's shutdown; raises LifespanError where it fails."""
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await lifespan.stop()

    async def respond(self, request: Request) -> Response | None:
        """Answer one request; see Application."""
        channel = request.channel
        if channel is None:
            return await self._collect(request)
        call = HttpCall(request, channel)
        try:
            await self.app(http_scope(request, self._state), call.receive, call.send)
        except Exception as error:  # noqa: BLE001 - whatever the application raises
            return call.failed(error)
        return None if channel.done else call.finished()

    async def _collect(self, request: Request) -> Response | None:
        request.channel = collected = CollectedResponse()
        response = await self.respond(request)
        return collected.response() if response is None else response

    async def converse(self, socket: WebSocket) -> None:
        """Handle one WebSocket; see Application."""
        call = WebSocketCall(socket)
        scope = websocket_scope(socket.request, socket.subprotocols, self._state)
        await self.app(scope, call.receive, call.send)
