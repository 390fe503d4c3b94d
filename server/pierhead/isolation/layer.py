"""The layer around an application of which requests are isolated: all of them, or those of some routes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pierhead.app import App
from pierhead.board import Cell, Row
from pierhead.interfaces.layer import Layer
from pierhead.interfaces.native import NativeApplication, enter_mount
from pierhead.interfaces.sites import Sites
from pierhead.isolation.call import answer
from pierhead.isolation.conversation import converse
from pierhead.isolation.pool import Pool, StartError
from pierhead.log import facts
from pierhead.routing import Mount

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.config.isolation import IsolationLimits
    from pierhead.interfaces.base import Application
    from pierhead.isolation.fresh import Origin
    from pierhead.isolation.nursery import Closable, Nursery
    from pierhead.isolation.seed import Seed
    from pierhead.messages.request import Request
    from pierhead.messages.response import Response
    from pierhead.messages.websocket import WebSocket

__all__ = ["Isolated", "Isolation", "named_parts"]

logger = logging.getLogger("pierhead.isolation")


class Isolated(Layer):
    """Fulfils `pierhead.interfaces.base.Application`: isolated requests go to processes of a pool.

    Until `settle` gave it a nursery, as where one process serves one connection or a test client, nothing is
    isolated.
    """

    def __init__(
        self,
        application: Application,
        limits: IsolationLimits,
        *,
        whole: bool,
        origin: Origin | None = None,
    ) -> None:
        super().__init__(application)
        self.pool: Pool | None = None
        self.origin = origin
        """Where to load its code from again; None where it cannot be reloaded by itself."""
        self.reloaded = False
        """Whether it was reloaded by itself: `application` has the code from before."""
        self.seed: Seed | None = None
        """In a generation: who has the code that it was reloaded with."""
        self.nursery_end: socket.socket | None = None
        """In a worker: the link to a nursery with that code, which the seed forks for it."""
        self._isolation: Isolation | None = None
        self._limits = limits
        self.whole = whole
        """Whether all of its requests are isolated, not only those of some routes."""
        self._respond = application.respond

    def settle(self, isolation: Isolation, nursery: Nursery, part: int) -> Pool:
        """Take processes from a nursery, where this is application number `part`."""
        self._isolation = isolation
        self.pool = self.pool_of(nursery, part)
        return self.pool

    def pool_of(self, nursery: Nursery, part: int) -> Pool:
        """Return a pool of its processes, which is not in use yet."""
        return Pool(nursery, part, self.name, self._limits)

    async def start(self) -> None:
        """Start the processes, and the application here where it answers requests here; see Application."""
        if self.pool is not None and not await self._start_reloaded():
            try:
                await self.pool.start()
            except BaseException:
                await self.pool.close()
                raise
        if self.pool is None or not self.whole:
            await self.application.start()

    async def stop(self) -> None:
        """Stop both; see Application."""
        try:
            if self.pool is not None:
                await self.pool.close()
        finally:
            if self.pool is None or not self.whole:
                await self.application.stop()

    async def _start_reloaded(self) -> bool:
        """Start the processes of a worker that is to have code which others have reloaded before.

        Where who had that code is gone, and it does not load any more, that is logged, and the code that the
        generation was started with is used.
        """
        if not self.reloaded or self._isolation is None or self.origin is None:
            return False
        try:
            await self._isolation.reload(self)
        except StartError as error:
            logger.error(  # noqa: TRY400 - it says all
                "%s was reloaded, but does not load again for this worker, and who had its code is gone; "
                "it has the code from the last reload of everything\n%s",
                self.origin.app.name,
                error,
                extra=facts("app_outdated", app=self.origin.app.name, reason=str(error).splitlines()[-1]),
            )
            return False
        return True

    def respond(self, request: Request) -> Coroutine[Any, Any, Response | None]:
        """Have a process answer, or the application here."""
        pool = self.pool
        if pool is None or not (self.whole or self._leads_to_isolated(request)):
            return self._respond(request)
        return answer(pool, request)

    async def converse(self, socket: WebSocket) -> None:
        """Have a process converse, or the application here."""
        pool = self.pool
        if pool is None or not (self.whole or self._leads_to_isolated(socket.request, websocket=True)):
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
    """All that is isolated in one worker: a nursery, and the pools of those applications that need it.

    An application that was reloaded by itself has another nursery.
    """

    def __init__(
        self, application: Application, nursery: Nursery, parts: Sequence[Isolated], settings: Settings
    ) -> None:
        self._application = application
        self._settings = settings
        self._nurseries = [nursery]
        self._pools = [part.settle(self, nursery, number) for number, part in enumerate(parts)]
        self._named = named_parts(application)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hear(nursery)
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

        ends = [part.nursery_end for part in parts if part.nursery_end is not None]
        nursery = Nursery.fork([part.application for part in parts], settings, [*inherited, *ends])
        return cls(application, nursery, parts, settings)

    def attach(self) -> None:
        """Begin, on the running loop, before the application is started."""
        for nursery in self._nurseries:
            nursery.attach()

    async def close(self) -> None:
        """End the nurseries, once the application was stopped."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for nursery in self._nurseries:
            await nursery.close()

    def begin_reload(
        self, name: str, end: socket.socket | None, tell: Callable[[str], None], *, first: bool
    ) -> None:
        """Reload the code of one application; then `tell` is called with why that failed, or "".

        `end` is for a seed of that code, where this is the `first` worker, and else the link to a nursery.
        """
        self._keep(self._try_reload(name, end, tell, first=first))

    async def reload(self, part: Isolated) -> None:
        """Replace the processes of an application by some with its code as it is now; raises StartError.

        Those from before finish what they do.
        """
        pool = await self._start_pool(part)
        before, part.pool = part.pool, pool
        part.reloaded = True
        if isinstance(self._application, Sites):
            for site in self._application.sites:
                if part.origin is not None and site.settings is part.origin.app:
                    site.application = part  # again, where it had not started
        if before is not None:
            before.give_way(pool)
            self._keep(self._retire(before, pool))

    def publish(self, row: Row) -> None:
        """Write the numbers to a row of the board."""
        cells = row.cells
        cells[Cell.PROCESSES] = sum(pool.size for pool in self._pools)
        cells[Cell.PROCESSES_BUSY] = sum(pool.busy for pool in self._pools)
        cells[Cell.PROCESSES_AWAITED] = sum(pool.waiting for pool in self._pools)
        cells[Cell.PROCESSES_CRASHED] = sum(pool.crashed for pool in self._pools)
        cells[Cell.PROCESSES_KILLED] = sum(pool.killed for pool in self._pools)

    async def _try_reload(
        self, name: str, end: socket.socket | None, tell: Callable[[str], None], *, first: bool
    ) -> None:
        part = self._named[name]
        try:
            if not first:
                part.nursery_end, end = end, None
            await self.reload(part)
            if end is not None and part.pool is not None:
                part.pool.nursery.copy(end)
        except StartError as error:
            tell(str(error))
        except Exception as error:
            logger.exception("%s cannot be reloaded", name)
            tell(repr(error))
        else:
            tell("")
        finally:
            if end is not None:
                end.close()

    async def _start_pool(self, part: Isolated) -> Pool:
        """Return a pool of processes that have started, on a nursery of its own."""
        nursery = await self._start_nursery(part)
        self._nurseries.append(nursery)
        self._hear(nursery)
        pool = part.pool_of(nursery, 0)
        nursery.lost = pool.lost
        self._pools.append(pool)
        try:
            await pool.start()
        except BaseException:
            await pool.close()
            await self._drop(pool)
            raise
        nursery.lost = self._lost
        return pool

    async def _start_nursery(self, part: Isolated) -> Nursery:
        """Return one that a seed has forked for this worker; without a seed one with the code as it is."""
        from pierhead.isolation.fresh import adopt_nursery, start_nursery

        end, part.nursery_end = part.nursery_end, None
        if end is not None:
            with contextlib.suppress(StartError):
                return await adopt_nursery(end, self._settings)
        assert part.origin is not None
        return await start_nursery(part.origin, self._settings)

    async def _retire(self, before: Pool, pool: Pool) -> None:
        """Have the processes from before finish and leave, and the nursery that nobody needs any more."""
        await before.close()
        pool.crashed += before.crashed
        pool.killed += before.killed
        await self._drop(before)

    async def _drop(self, pool: Pool) -> None:
        self._pools.remove(pool)
        nursery = pool.nursery
        if not any(other.nursery is nursery for other in self._pools):
            self._nurseries.remove(nursery)
            await nursery.close()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hear(self, nursery: Nursery) -> None:
        nursery.forked = self._forked
        nursery.ended = self._ended

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


def named_parts(application: Application) -> dict[str, Isolated]:
    """Return, by their names, those of several applications that can be reloaded without the others."""
    sites = application.sites if isinstance(application, Sites) else []
    found = (site.application for site in sites)
    parts = [one for one in found if isinstance(one, Isolated)]
    return {part.origin.app.name: part for part in parts if part.origin is not None}


def _parts(application: Application) -> Iterable[Isolated]:
    if isinstance(application, Isolated):
        yield application
    elif isinstance(application, Sites):
        for site in application.sites:
            if site.application is not None:
                yield from _parts(site.application)
