"""What a worker has a process do: watched over from its first frame to its last, however it ends."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from pierhead.errors import ClientDisconnected, PierheadError
from pierhead.failures import log_failure
from pierhead.interfaces.additions import with_additions
from pierhead.isolation.frames import Frame, Kind
from pierhead.messages.response import Response

if TYPE_CHECKING:
    from pierhead.isolation.link import Link
    from pierhead.isolation.pool import PooledProcess
    from pierhead.messages.request import Request

__all__ = ["Errand", "ProcessLostError"]


_NO_ANSWER_S = 5.0  # for the nursery to say how a process ended whose link is closed


class ProcessLostError(PierheadError):
    """The process ended before its response was complete: what was begun of it has to be cut."""


class Errand:
    """One request, or WebSocket, and the process that has it.

    A process that says nothing for `isolation_timeout_s` is killed. `forsake` is for a client that has left.
    """

    def __init__(self, process: PooledProcess, request: Request) -> None:
        self.process = process
        self.request = request
        self._pool = process.pool
        self._loop = asyncio.get_running_loop()
        self._forsaken = False
        self._late = False
        self._lost = False
        self._over = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def link(self) -> Link:
        """The link to the process."""
        return self.process.link

    @property
    def is_over(self) -> bool:
        """Whether the process will say no more."""
        return self._lost or self.process.retired or self.process.ended.done()

    def be_patient(self, seconds: float = 0.0) -> None:
        """Wait as long as usual from now on, or `seconds`, or as long as it was asked for before."""
        seconds = seconds or self._pool.limits.timeout_s or math.inf
        self._deadline = max(self._deadline, self._loop.time() + seconds)

    async def hear(self) -> Frame | None:
        """Return the next frame of the process, None where it is gone; kills it where it takes too long."""
        if not self.link.waiting:
            self.be_patient()
            self._watch()
        try:
            frame = await self.link.read()
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        if frame is not None and frame.kind is Kind.EXTEND:
            seconds = float(frame.facts["seconds"])
            self.be_patient(seconds)
            if self.request.channel is not None:
                self.request.channel.extend(seconds)
        return frame

    def forsake(self) -> None:
        """Have the process end what it does: nobody waits for it."""
        if not (self._forsaken or self._over):
            self._forsaken = True
            self._pool.retire(self.process)

    def finished(self) -> None:
        """Give the process back: it is done."""
        self._over = True
        if self._forsaken or self.process.ended.done():
            self.dismiss()
        else:
            self._pool.release(self.process)

    def dismiss(self) -> None:
        """Let go of a process that works for nobody any more."""
        self._over = True
        if self.process.ended.done():
            self.process.link.close()
        else:
            self._pool.retire(self.process)
            self.process.busy = False  # its link is closed when it ends

    async def lost(self) -> int:
        """Log why the process is gone; returns the status for it: 502, or 504 where it took too long.

        Raises ClientDisconnected where the client had left.
        """
        self._lost = True
        how, stacks = await self._obituary()
        if self._forsaken:
            raise ClientDisconnected("the client closed the connection")
        pool, process = self._pool, self.process
        who = f"process {process.pid} of {pool.name}"
        if self._late:
            limit_s = pool.limits.timeout_s
            message = (
                "nothing came for isolation_timeout_s=%g, or as long as it had asked for; %s was killed%s"
            )
            log_failure(self.request, message, limit_s, who, stacks)
            self.request.refused = "the application did not answer in time"
            return 504
        if self._outlived:
            self._log_outlived()
            return 504
        pool.crashed += 1
        log_failure(self.request, "%s %s%s", who, how, stacks)
        self.request.refused = "the application's process ended"
        return 502

    async def failed(self, *, started: bool) -> Response:
        """Return the response for a process that is gone; see `lost`.

        Raises ProcessLostError where a response was begun.
        """
        status = await self.lost()
        if started:
            raise ProcessLostError("its process ended before its response was complete")
        return with_additions(self.request, Response.problem(status, self.request.refused))

    def broken(self, facts: dict[str, Any], *, started: bool) -> Response:
        """Return the response where the process says that its own will not come; raises as `failed`."""
        if self._forsaken:
            raise ClientDisconnected("the client closed the connection")
        if started:
            raise ProcessLostError(facts["reason"])
        if self._outlived:
            self._log_outlived()
            return with_additions(self.request, Response.problem(504, self.request.refused))
        log_failure(self.request, "%s", facts["reason"])
        return with_additions(self.request, Response.problem(500))

    @property
    def _outlived(self) -> bool:
        """Whether the process was told to leave, as the application was reloaded and it did not finish."""
        return self._pool.superseded and self.process.retired and not self._forsaken

    def _log_outlived(self) -> None:
        message = "did not finish within drain_timeout_s=%g of a reload of %s; process %d was ended"
        pool = self._pool
        log_failure(self.request, message, pool.limits.drain_timeout_s, pool.name, self.process.pid)
        self.request.refused = "the application was reloaded, and did not answer in time"

    async def _obituary(self) -> tuple[str, str]:
        self._pool.finish_off(self.process)
        try:
            async with asyncio.timeout(_NO_ANSWER_S):
                text = await asyncio.shield(self.process.ended)
        except TimeoutError:
            return "is gone, and nobody says how", ""
        how, _, stacks = text.partition("\n")
        return how, stacks and "\n" + stacks

    def _watch(self) -> None:
        if self._deadline < math.inf:
            self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        """Kill the process where its time is over, and was not extended meanwhile."""
        self._timer = None
        if self._loop.time() < self._deadline:
            self._watch()
        elif not self._late and not self._forsaken:
            self._late = True
            self._pool.kill(self.process)
