"""A renewal: one application's code is reloaded in the workers of a generation, the others' is left alone.

One worker goes first. Where the new code does not load or start in it, nothing has changed. Where it does,
a process is forked that keeps that code, a *seed*, and the other workers follow together: they, and those
that are forked from then on, get it from there.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from pierhead.isolation.choose import reloadable
from pierhead.isolation.seed import Seed
from pierhead.log import facts

if TYPE_CHECKING:
    from pierhead.interfaces.base import Application
    from pierhead.isolation.layer import Isolated
    from pierhead.supervisor.channel import Channel

__all__ = ["Renewal", "Tell", "disown_seeds", "leave_nurseries", "order_nurseries", "why_not"]

logger = logging.getLogger("pierhead.generation")

Tell = Callable[[str, int], None]
"""Takes why it failed, "" where it did not, and how many workers have the new code."""


class Member(Protocol):
    """A worker, as far as this is concerned."""

    @property
    def pid(self) -> int: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def ready(self) -> bool: ...
    @property
    def leaving(self) -> bool: ...


def why_not(application: Application, name: str) -> str:
    """Return why an application cannot be reloaded by itself, and what can be done; "" where it can."""
    from pierhead.interfaces.sites import Sites

    names = reloadable(application)
    if name in names:
        return ""
    if not isinstance(application, Sites):
        return "one application is served here, not a file of several: leave the name out"
    which = f"these can: {', '.join(names)}" if names else "none here is"
    if name not in {site.name for site in application.sites}:
        return f"there is no application {name!r} that can be reloaded by itself; {which}"
    return (
        f"{name!r} cannot be reloaded by itself: it has not loaded, or is not isolated as a whole "
        f"(isolation = 'process'); {which}. Leave the name out to reload everything"
    )


def order_nurseries(application: Application) -> None:
    """Have a nursery forked of each application that was reloaded, for a worker that is forked next."""
    for part in reloadable(application).values():
        if part.seed is not None:
            part.nursery_end = part.seed.nursery()


def leave_nurseries(application: Application) -> None:
    """Leave them to the worker, now that it was forked; or to nobody."""
    for part in reloadable(application).values():
        if part.nursery_end is not None:
            part.nursery_end.close()
            part.nursery_end = None


def disown_seeds(application: Application) -> None:
    """In a worker just forked: let go of what is the generation's."""
    for part in reloadable(application).values():
        if part.seed is not None:
            part.seed.close()
            part.seed = None


class Renewal:
    """One that is under way; `step` is called again and again until it is `over`."""

    def __init__(self, application: Application, name: str, tell: Tell) -> None:
        self.over = False
        self._part: Isolated = reloadable(application)[name]
        self._name = name
        self._tell = tell
        self._first = 0
        self._waiting: set[int] | None = None  # the others, once the first has the new code
        self._ordered: set[int] = set()
        self._renewed = 0
        self._failures: list[str] = []
        self._seed: Seed | None = None  # while nobody knows whether its code is any good
        logger.info("reloading the code of %s", name, extra=facts("app_reload", app=name))

    def step(self, workers: Iterable[Member]) -> None:
        """Give the orders that are due, and tell once all is done."""
        members = {worker.pid: worker for worker in workers if not worker.leaving}
        if self._waiting is None:
            if not self._first:
                self._first = next((pid for pid, worker in members.items() if worker.ready), 0)
                if self._first:
                    self._order(members[self._first])
            elif self._first not in members:
                self._fail(f"worker {self._first} ended meanwhile")
            return
        self._waiting &= members.keys()  # who takes the place of those that left has the new code
        for pid in self._waiting - self._ordered:
            if members[pid].ready:
                self._order(members[pid])
        if self._waiting or self.over:
            return
        if self._failures:
            self._fail(f"{self._renewed} workers have the new code, but {'; '.join(self._failures)}")
            return
        self.over = True
        count = self._renewed
        logger.info(
            "the new code of %s serves",
            self._name,
            extra=facts("app_reloaded", app=self._name, workers=count),
        )
        self._tell("", count)

    def hear(self, pid: int, failed: str, workers: Iterable[Member]) -> None:
        """Take a worker's answer; `failed` is "" where it has the new code."""
        if pid not in self._ordered or self.over:
            return
        self._renewed += not failed
        if self._waiting is not None:
            self._waiting.discard(pid)
            if failed:
                self._failures.append(f"worker {pid} has the old: {failed}")
        elif failed:
            self._fail(failed)
        else:
            self._part.reloaded = True  # workers that are forked from now on see it
            if self._part.seed is not None:
                self._part.seed.close()
            self._part.seed, self._seed = self._seed, None
            self._waiting = {worker.pid for worker in workers if not worker.leaving} - {pid}

    def give_up(self, why: str) -> None:
        """End it, as the workers leave."""
        if not self.over:
            self._fail(why)

    def disown(self) -> None:
        """Let go of a seed that nobody knows; also in a process that the generation has just forked."""
        if self._seed is not None:
            self._seed.close()

    def _order(self, worker: Member) -> None:
        self._ordered.add(worker.pid)
        first = self._waiting is None
        end: socket.socket | None = None
        if first:
            with contextlib.suppress(OSError):  # no descriptors are left: each loads the code for itself
                self._seed, end = Seed.pair()
        elif self._part.seed is not None:
            end = self._part.seed.nursery()
        with end or contextlib.nullcontext():
            file = None if end is None else end.fileno()
            worker.channel.send(file, reload_app=self._name, first=first, end=end is not None)

    def _fail(self, why: str) -> None:
        self.over = True
        self.disown()
        then = "" if self._renewed else "; the code from before goes on serving"
        logger.error(
            "%s was not reloaded%s\n%s",
            self._name,
            then,
            why,
            extra=facts("app_reload_failed", app=self._name, reason=why.rstrip().rpartition("\n")[2]),
        )
        self._tell(why, self._renewed)
