"""A server in memory, with an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from pierhead.app import App
from pierhead.config import Settings
from pierhead.health import Health
from pierhead.interfaces.adapt import adapt
from pierhead.interfaces.asgi.scope import ASGIApp
from pierhead.interfaces.base import Application
from pierhead.interfaces.wsgi import WSGIApp
from pierhead.transports.memory import MemoryTransport
from pierhead.transports.server import Server

__all__ = ["AnyApp", "Runner", "make_server", "settings_of"]

AnyApp = App | Application | ASGIApp | WSGIApp
"""An application of any kind."""
_STOP_GRACE_S = 10.0  # beyond the time that what is in progress has to finish
_T = TypeVar("_T")


def settings_of(changes: Mapping[str, Any]) -> Settings:
    """Return the default settings with `changes`; raises TypeError for one that there is none of."""
    return dataclasses.replace(Settings(), **changes)


def make_server(application: Application, settings: Settings) -> Server:
    """Return a server, which answers the health paths as well; it is not started."""
    server: Server
    health = Health(application, lambda: server.ready, settings.health_path, settings.ready_path)
    server = Server(health, settings)
    return server


class Runner:
    """Runs the server of one application."""

    def __init__(
        self,
        app: AnyApp,
        settings: Mapping[str, Any],
        *,
        secure: bool,
        client: tuple[str, int],
        timeout_s: float,
    ) -> None:
        self._settings = settings_of(settings)
        self._application = adapt(app, interface=self._settings.interface, threads=self._settings.threads)
        self.secure = secure
        """Whether requests come as if over TLS."""
        self._transport = _SecureTransport if secure else MemoryTransport
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

    def close(self) -> None:
        """Stop the application and the server; a later request starts them again."""
        if self._loop is None or self._server is None or self._thread is None:
            return
        server = self._server

        async def stop() -> None:
            await server.drain(self._timeout_s)
            await server.close()

        try:
            self._call(stop(), grace_s=_STOP_GRACE_S)
        finally:
            self._stop_loop()

    # Inside

    def _ensure(self) -> None:
        if self._loop is not None:
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pierhead-client", daemon=True)
        self._thread.start()
        self._server = make_server(self._application, self._settings)
        try:
            self._application.start_master()
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

    def _call(self, coroutine: Coroutine[Any, Any, _T], *, grace_s: float = 0.0) -> _T:
        """Run a coroutine on the client's loop and wait for it."""
        if self._loop is None:
            self._ensure()
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(self._timeout_s + grace_s)

    def _do(self, function: Any, *arguments: Any) -> None:
        """Call a function on the client's loop."""

        async def call() -> None:
            function(*arguments)

        self._call(call())


class _SecureTransport(MemoryTransport):
    """Says that it is TLS, for requests whose scheme is to be https."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is asked for; of TLS only that there is some."""
        return self if name == "ssl_object" else super().get_extra_info(name, default)
