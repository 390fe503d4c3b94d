"""The native interface: has an `App` answer requests, whatever it does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import traceback
from typing import TYPE_CHECKING

from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.messages.conditional import conditional
from pierhead.messages.files import FileBody
from pierhead.messages.response import Response

if TYPE_CHECKING:
    from pierhead.app import App
    from pierhead.messages.request import Request
    from pierhead.messages.websocket import WebSocket

__all__ = ["NativeApplication"]

logger = logging.getLogger("pierhead.app")

_LISTS = frozenset({"set-cookie", "vary", "link"})


class NativeApplication:
    """Fulfils `pierhead.interfaces.base.Application` for an App.

    `threads` is how many `def` handlers may run at once in this process; more wait for a thread.
    """

    def __init__(self, app: App, *, threads: int = 40) -> None:
        self.app = app
        self._threads = threads

    @property
    def name(self) -> str:
        """What logs call it."""
        return self.app.name

    def start_master(self) -> None:
        """Run the App's start hooks of the master."""
        self.app.start_master()

    def stop_master(self) -> None:
        """Run the App's stop hooks of the master."""
        self.app.stop_master()

    async def start(self) -> None:
        """Make the threads and run the App's start hooks."""
        executor = concurrent.futures.ThreadPoolExecutor(self._threads, thread_name_prefix="pierhead")
        asyncio.get_running_loop().set_default_executor(executor)
        await self.app.start()

    async def stop(self) -> None:
        """Run the App's stop hooks; the loop's end waits for the threads."""
        await self.app.stop()

    async def respond(self, request: Request) -> Response:
        """Answer one request; what the App raises becomes a response here."""
        try:
            response = await self.app.handle(request)
            if response is None:
                response = Response.problem(404, "there is nothing here")
            if isinstance(response.body, FileBody):
                response = conditional(request, response)
        except HTTPError as error:
            response = _problem(error)
        except ClientDisconnected:
            response = Response.problem(400, "the request is incomplete")  # which nobody will read
        except Exception:
            logger.exception("%s %s [%s] failed", request.method, request.target, request.id)
            detail = traceback.format_exc() if self.app.debug else ""
            response = Response.problem(500, detail)
        return _with_additions(request, response)

    async def converse(self, socket: WebSocket) -> None:
        """Handle one WebSocket; an HTTPError before its handshake is answered rejects it."""
        try:
            await self.app.converse(socket)
        except HTTPError as error:
            if socket.answered:
                raise
            await socket.reject(_problem(error))


def _problem(error: HTTPError) -> Response:
    return Response.problem(
        error.status,
        error.detail,
        type=error.type,
        title=error.title,
        headers=error.headers,
        **error.extensions,
    )


def _with_additions(request: Request, response: Response) -> Response:
    """Add the fields that endpoints asked for; of what the response has itself only lists grow."""
    additions = request.response_headers
    if len(additions):
        own = {name.lower() for name, _ in response.headers.items()}
        for name, value in additions.items():
            if name.lower() not in own or name.lower() in _LISTS:
                response.headers.add(name, value)
    return response
