"""Server: serves an application from a Python program, in that process.

    Server(app, listen="http://127.0.0.1:8080").run()

For workers, reload and the rest use the command: `pierhead run module:app`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pierhead.config import Settings
from pierhead.interfaces.adapt import adapt
from pierhead.isolation.choose import isolated
from pierhead.transports.server import Server as TransportServer

if TYPE_CHECKING:
    from pierhead.app import App
    from pierhead.interfaces.asgi.scope import ASGIApp
    from pierhead.interfaces.base import Application
    from pierhead.interfaces.wsgi import WSGIApp

__all__ = ["Server"]

_ANSWER_TIMEOUT_S = 30.0


class Server:
    """One application in one process.

    `listen` is one or more listener URLs; `settings` are fields of `pierhead.config.Settings`. Raises
    TypeError for a setting that there is none of.
    """

    def __init__(
        self,
        app: App | Application | ASGIApp | WSGIApp,
        listen: str | Iterable[str] = "http://127.0.0.1:8080",
        **settings: Any,
    ) -> None:
        urls = (listen,) if isinstance(listen, str) else tuple(listen)
        self._settings = dataclasses.replace(Settings(), listen=urls, **settings)
        application = adapt(app, interface=self._settings.interface, threads=self._settings.threads)
        whole = self._settings.isolation == "process"
        self._application = isolated(application, self._settings, whole=whole)

    def run(self) -> int:
        """Serve until SIGINT or SIGTERM, then drain; returns an exit code, as `pierhead.supervisor.run`.

        In a program that a web server started by CGI it answers that one request, unless `listen` was given.
        """
        from pierhead.log import configure
        from pierhead.supervisor import is_for_once

        configure(self._settings, "server")
        if is_for_once(self._settings, os.environ):
            from pierhead.supervisor.once import run_application_once

            return run_application_once(self._application, self._settings)
        from pierhead.supervisor.single import run_application

        return run_application(self._application, self._settings)

    def test(self, requests: Iterable[bytes]) -> list[bytes]:
        """Send raw requests to a real socket, one after the other, and return the raw answers.

        Each goes over a connection of its own, whose sending side is closed after it, so that an answer ends
        where the server closes. The server then shuts down. Raises TimeoutError where an answer does not end
        within half a minute.
        """
        self._application.start_master()
        try:
            return asyncio.run(self._test(list(requests)))
        finally:
            self._application.stop_master()

    async def _test(self, requests: list[bytes]) -> list[bytes]:
        server = TransportServer(self._application, self._settings)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            address = listening.getsockname()
            await server.serve([listening.dup()])
            try:
                async with asyncio.timeout(_ANSWER_TIMEOUT_S * max(1, len(requests))):
                    return [await _exchange(address, request) for request in requests]
            finally:
                await server.drain(self._settings.drain_timeout_s)
                await server.close()


async def _exchange(address: tuple[str, int], request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
