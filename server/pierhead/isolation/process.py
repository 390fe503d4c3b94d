"""A process that works on one request at a time: it starts the application, and waits for what to do.

The application's start hooks and lifespan run in each process, as they do in each worker: connections, of a
database say, cannot be shared over a fork.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from pierhead.isolation.answer import Answer
from pierhead.isolation.frames import Frame, Kind
from pierhead.isolation.link import Link
from pierhead.isolation.talk import Talk
from pierhead.log import configure
from pierhead.supervisor.start import START_FAILED, new_loop
from pierhead.transports.server import Server

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.interfaces.base import Application

__all__ = ["run_process"]

logger = logging.getLogger("pierhead.isolation")

_TOLD_S = 0.5  # for an application to see by itself that its client has left; then it is cancelled
_CANCELLED_S = 1.0
_STOP_S = 5.0


class _Work(Protocol):
    """What a process is working on."""

    def run(self) -> Coroutine[Any, Any, dict[str, Any]]:
        """Do it; returns what the worker is told at its end."""

    async def take(self, frame: Frame) -> None:
        """Take a frame that belongs to it; waits while there is no room."""

    def leave(self) -> None:
        """Take note that nobody waits for it any more."""


def run_process(application: Application, settings: Settings, end: socket.socket) -> NoReturn:
    """Work for who has the other end of the link, until it is closed; then exit.

    The exit code is 0, or 3 where the application did not start.
    """
    code = 1
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    configure(settings, "process")
    try:
        with asyncio.Runner(loop_factory=lambda: new_loop(settings.loop)) as runner:
            code = runner.run(_Process(application, settings).run(end))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # without waiting for threads, and not through the frames it was forked from
    except BaseException:
        logger.critical("an isolated process failed", exc_info=True)
    finally:
        os._exit(code)


class _Process:
    def __init__(self, application: Application, settings: Settings) -> None:
        self._application = application
        self._settings = settings
        self._server = Server(application, settings)
        self._link: Link
        self._pid: int
        self._work: _Work | None = None
        self._task: asyncio.Task[None] | None = None

    async def run(self, end: socket.socket) -> int:
        """Work until the link ends; returns the exit code."""
        self._link = link = Link(end, takes_files=True)
        # A child that a handler forks has no voice here: the worker would take it for this process.
        os.register_at_fork(after_in_child=link.disown)
        self._pid = os.getpid()
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                await self._server.start()
        except Exception:  # noqa: BLE001 - told to the worker
            link.send(Kind.FAILED, {"reason": traceback.format_exc().rstrip()})
            with contextlib.suppress(ConnectionError):
                await link.drain()
            return START_FAILED
        link.send(Kind.READY)
        await self._serve()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._server.close()
        except Exception:
            logger.exception("the application did not stop in an isolated process")
        return 0

    async def _serve(self) -> None:
        while (frame := await self._link.read()) is not None and frame.kind is not Kind.GONE:
            if frame.kind is Kind.REQUEST:
                self._begin(Answer(self._link, self._application, frame))
            elif frame.kind is Kind.OPEN:
                self._begin(Talk(self._link, self._server, frame))
            elif self._work is not None:
                await self._work.take(frame)
        if self._work is not None and self._task is not None:
            self._work.leave()
            await asyncio.wait([self._task], timeout=_TOLD_S)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CANCELLED_S)

    def _begin(self, work: _Work) -> None:
        self._work = work
        self._task = asyncio.ensure_future(self._do(work))

    async def _do(self, work: _Work) -> None:
        facts = await work.run()
        if os.getpid() != self._pid:
            os._exit(0)  # a child that has come out of the handler as well: the response is the parent's
        self._work = None
        self._link.send(Kind.DONE, facts)
