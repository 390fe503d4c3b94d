"""The life of an ASGI application in one worker: its startup and shutdown (ASGI lifespan 2.0)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from pierhead.errors import PierheadError
from pierhead.interfaces.asgi.scope import ASGIApp, Message, lifespan_scope

__all__ = ["Lifespan", "LifespanError"]

logger = logging.getLogger("pierhead.app")

_END_GRACE_S = 1.0  # for what an application does after its answer


class LifespanError(PierheadError):
    """The application said that its startup or its shutdown failed; the message is its own."""


class Lifespan:
    """Runs the lifespan of `app` as a task of its own; an application without one is let be."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self.state: dict[str, Any] = {}
        """What the application keeps for its requests."""
        self._app = app
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._asked = False  # the application called receive, so it knows of lifespans
        self._stopping = asyncio.Event()
        self._answers: dict[str, asyncio.Future[None]] = {}

    async def start(self) -> None:
        """Wait for the startup; raises LifespanError where the application says that it failed.

        An application that raises instead has no lifespan, and is served without one.
        """
        loop = asyncio.get_running_loop()
        self._answers = {phase: loop.create_future() for phase in ("startup", "shutdown")}
        self._task = task = loop.create_task(self._run(), name=f"lifespan of {self._name}")
        try:
            await self._wait_for("startup")
        except BaseException:
            await self._end()
            raise
        if task.done() and not self._answers["startup"].done():
            self._task = None
            error = task.exception()
            if self._asked:
                logger.warning(
                    "%s has no lifespan: it did not answer its startup", self._name, exc_info=error
                )

    async def stop(self) -> None:
        """Wait for the shutdown; raises LifespanError where the application says that it failed."""
        if self._task is None:
            return
        self._stopping.set()
        try:
            await self._wait_for("shutdown")
            await asyncio.wait({self._task}, timeout=_END_GRACE_S)
            if self._task.done() and (error := self._task.exception()) is not None:
                raise error
        finally:
            await self._end()

    async def _run(self) -> None:
        await self._app(lifespan_scope(self.state), self._receive, self._send)

    async def _wait_for(self, phase: str) -> None:
        """Wait for the answer or the end of the application; raises what it answers."""
        assert self._task is not None
        answer = self._answers[phase]
        await asyncio.wait({self._task, answer}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            answer.result()

    async def _end(self) -> None:
        """End the task, if the application has not: an answer is all it owes."""
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await self._task
        for answer in self._answers.values():
            answer.cancel()
        self._task = None

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        prefix, _, rest = message["type"].partition(".")
        phase, _, outcome = rest.partition(".")
        answer = self._answers.get(phase)
        if prefix != "lifespan" or answer is None or outcome not in {"complete", "failed"} or answer.done():
            raise RuntimeError(f"{message['type']!r} was sent: the server does not expect it in a lifespan")
        if outcome == "complete":
            answer.set_result(None)
        else:
            text = message.get("message") or "it gave no reason"
            answer.set_exception(LifespanError(f"the {phase} of {self._name} failed: {text}"))
