"""The layer around an application of which requests are isolated: all of them, or those of some routes."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pierhead.app import App
from pierhead.board import Cell, Row
from pierhead.interfaces.layer import Layer
from pierhead.interfaces.native import NativeApplication, enter_mount
from pierhead.interfaces.sites import Sites
from pierhead.isolation.call import answer
from pierhead.isolation.conversation import converse
from pierhead.isolation.pool import Pool
from pierhead.routing import Mount

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.config.isolation import IsolationLimits
    from pierhead.interfaces.base import Application
    from pierhead.isolation.nursery import Closable, Nursery
    from pierhead.messages.request import Request
    from pierhead.messages.response import Response
    from pierhead.messages.websocket import WebSocket

__all__ = ["Isolated", "Isolation"]

logger = logging.getLogger("pierhead.isolation")


class Isolated(Layer):
    """Fulfils `pierhead.interfaces.base.Application`: isolated requests go to processes of a pool.

    Until `settle` gave it a nursery, as where one process serves one connection or a test client, nothing is
    isolated.
    """

    def __init__(self, application: Application, limits: IsolationLimits, *, whole: bool) -> None:
        super().__init__(application)
        self.pool: Pool | None = None
        self._limits = limits
        self._whole = whole
        self._respond = application.respond

    def settle(self, nursery: Nursery, part: int) -> Pool:
        """Take processes from a nursery, where this is application number `part`."""
        self.pool = Pool(nursery, part, self.name, self._limits)
        return self.pool

    async def start(self) -> None:
        """Start the processes, and the application here where it answers requests here; see Application."""
        if self.pool is not None:
            try:
                await self.pool.start()
            except BaseException:
                await self.pool.close()
                raise
        if self.pool is None or not self._whole:
            await self.application.start()

    async def stop(self) -> None:
        """Stop both; see Application."""
        try:
            if self.pool is not None:
                await self.pool.close()
        finally:
            if self.pool is None or not self._whole:
                await self.application.stop()

    def respond(self, request: Request) -> Coroutine[Any, Any, Response | None]:
        """Have a process answer, or the application here."""
        pool = self.pool
        if pool is None or not (self._whole or self._leads_to_isolated(request)):
            return self._respond(request)
        return answer(pool, request)

    async def converse(self, socket: WebSocket) -> None:
        """Have a process converse, or the application here."""
        pool = self.pool
        if pool is None or not (self._whole or self._leads_to_isolated(socket.request, websocket=True)):
            await self.application.converse(socket)
        else:
            await converse(pool, socket)

    def _leads_to_isolated(self, request: Request, *, websocket: bool = False) -> bool:
        assert isinstance(self.application, NativeApplication)
        method = "" if websocket else request.method
        return _leads(self.application.app, request, method)


def _leads(app: App, request: Request, method: str) -> bool:
    """Tell whether an isolated handler may be asked; "" is the method of WebSockets."""
    request.app = app
    for endpoint in (*app.before, *app.after) if method else app.before:
        if endpoint.handler.isolated and (endpoint.when is None or endpoint.when(request)):
            return True
    for place, _, index in app.router.matches(request.raw_path):
        if isinstance(place, Mount):
            seen = enter_mount(request, index)
            try:
                return _leads(place.app, request, method)
            finally:
                request.app, request.root_path, request.raw_path = seen
        route = place.methods.get(method) if method else place.websocket
        if route is not None and route.handler.isolated:
            return True
    return False


class Isolation:
    """All that is isolated in one worker: a nursery, and the pools of those applications that need it."""

    def __init__(self, nursery: Nursery, parts: Sequence[Isolated]) -> None:
        self._nursery = nursery
        self._pools = [part.settle(nursery, number) for number, part in enumerate(parts)]
        nursery.forked = self._forked
        nursery.ended = self._ended
        nursery.lost = self._lost

    @classmethod
    def prepare(
        cls, application: Application, settings: Settings, inherited: Sequence[Closable] = ()
    ) -> Isolation | None:
        """Fork the nursery where something is isolated: before this process has threads or an event loop.

        `inherited` is what the nursery has to close. Raises OSError where it cannot be forked.
        """
        parts = list(_parts(application))
        if not parts:
            return None
        from pierhead.isolation.nursery import Nursery

        nursery = Nursery.fork([part.application for part in parts], settings, inherited)
        return cls(nursery, parts)

    def attach(self) -> None:
        """Begin, on the running loop, before the application is started."""
        self._nursery.attach()

    async def close(self) -> None:
        """End the nursery, once the application was stopped."""
        await self._nursery.close()

    def publish(self, row: Row) -> None:
        """Write the numbers to a row of the board."""
        cells = row.cells
        cells[Cell.PROCESSES] = sum(pool.size for pool in self._pools)
        cells[Cell.PROCESSES_BUSY] = sum(pool.busy for pool in self._pools)
        cells[Cell.PROCESSES_AWAITED] = sum(pool.waiting for pool in self._pools)
        cells[Cell.PROCESSES_CRASHED] = sum(pool.crashed for pool in self._pools)
        cells[Cell.PROCESSES_KILLED] = sum(pool.killed for pool in self._pools)

    def _forked(self, tag: int, pid: int) -> None:
        for pool in self._pools:
            if pool.owns(tag):
                pool.forked(tag, pid)

    def _ended(self, tag: int, status: int | None, reason: str, stacks: str) -> None:
        for pool in self._pools:
            if pool.owns(tag):
                pool.ended(tag, status, reason, stacks)

    def _lost(self) -> None:
        """Leave: without a nursery nothing can be isolated, and only a new worker has a new one."""
        for pool in self._pools:
            pool.lost()
        os.kill(os.getpid(), signal.SIGTERM)


def _parts(application: Application) -> Iterable[Isolated]:
    if isinstance(application, Isolated):
        yield application
    elif isinstance(application, Sites):
        for site in application.sites:
            if site.application is not None:
                yield from _parts(site.application)
