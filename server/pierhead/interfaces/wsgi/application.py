"""A WSGI application as what a server asks for: each request in a thread, from its call to its close()."""

from __future__ import annotations

import asyncio
import io
from typing import BinaryIO

from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.failures import log_failure
from pierhead.interfaces.additions import with_additions
from pierhead.interfaces.collect import CollectedResponse
from pierhead.interfaces.spool import spooled_body
from pierhead.interfaces.threads import ThreadPool
from pierhead.interfaces.wsgi.call import WSGIApp, WSGICall
from pierhead.messages.channel import ResponseChannel
from pierhead.messages.request import Request
from pierhead.messages.response import Response
from pierhead.messages.websocket import WebSocket

__all__ = ["WSGIApplication"]


class WSGIApplication:
    """Fulfils `pierhead.interfaces.base.Application` for a WSGI application (PEP 3333).

    `threads` is how many requests are worked on at once in each worker; more wait for a thread. A request's
    body is read before the application is called, so that no thread waits for a slow client.
    """

    def __init__(self, app: WSGIApp, *, name: str = "app", threads: int = 40) -> None:
        self.app = app
        self._name = name
        self._threads = ThreadPool(threads)

    @property
    def name(self) -> str:
        """What logs call it."""
        return self._name

    def start_master(self) -> None:
        """Do nothing: a WSGI application is ready when it is imported."""

    def stop_master(self) -> None:
        """Do nothing: a WSGI application is not told of its end."""

    async def start(self) -> None:
        """Have threads of this worker's own; see Application."""
        self._threads = ThreadPool(self._threads.size)

    async def stop(self) -> None:
        """Wait for the threads; see Application."""
        await self._threads.close()

    async def respond(self, request: Request) -> Response | None:
        """Answer one request; see Application."""
        channel = request.channel
        collected = None
        if channel is None:
            channel = collected = CollectedResponse()
        try:
            response = await self._call(request, channel)
        except ClientDisconnected:
            if channel.started and not channel.done:
                raise
            response = None if channel.done else Response.problem(400, "the request is not complete")
        except HTTPError as error:  # of the body: the application was not called
            response = Response.problem(error.status, error.detail, headers=error.headers)
        except Exception as error:
            if channel.started:
                raise
            log_failure(request, "unhandled exception", exc_info=error)
            response = Response.problem(500)
        if response is None:
            return None if collected is None else collected.response()
        return with_additions(request, response)

    async def converse(self, socket: WebSocket) -> None:
        """Have the application answer the opening of a WebSocket as any request: it knows of no others."""
        response = await self.respond(socket.request)
        assert response is not None
        await socket.reject(response)

    async def _call(self, request: Request, channel: ResponseChannel) -> Response | None:
        has_body = request._reader is not None or request._body is not None
        if not has_body:
            return await self._run(request, channel, io.BytesIO(), None)
        body = await spooled_body(request)
        try:
            return await self._run(request, channel, body.file, body.size)
        finally:
            body.close()

    async def _run(
        self, request: Request, channel: ResponseChannel, body: BinaryIO, length: int | None
    ) -> Response | None:
        call = WSGICall(self.app, request, channel, asyncio.get_running_loop(), body, length)
        return await self._threads.run(call.run, self._name)  # type: ignore[no-any-return]
