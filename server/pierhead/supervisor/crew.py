"""The crew: the workers of one generation. Forks them, watches them, replaces and ends them."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from pierhead.board import ROWS, Board, Cell, Desk, Row, State
from pierhead.log import facts
from pierhead.supervisor.backoff import Backoff
from pierhead.supervisor.channel import Channel
from pierhead.supervisor.doing import Doing
from pierhead.supervisor.memory import OutOfMemory
from pierhead.supervisor.process import describe_exit, exit_facts, reap_these
from pierhead.supervisor.renewal import (
    Renewal,
    Tell,
    disown_seeds,
    leave_nurseries,
    order_nurseries,
    why_not,
)
from pierhead.supervisor.stacks import Stacks
from pierhead.supervisor.vigil import Vigil
from pierhead.supervisor.worker import run_worker

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.interfaces.base import Application
    from pierhead.supervisor.reactor import Reactor

__all__ = ["Crew"]

logger = logging.getLogger("pierhead.generation")

_KILL_GRACE_S = 3.0
_LAST_WORDS_S = 0.3
_NEVER = float("inf")


@dataclasses.dataclass(eq=False)
class _Worker:
    """A worker as its generation sees it."""

    pid: int
    slot: int
    row: Row
    channel: Channel
    stacks: Stacks
    ready_by: float
    jitter: float
    ready: bool = False
    leave_by: float = _NEVER
    """When it must be gone; never, while nobody told it to leave."""
    kill_at: float = _NEVER
    """When it is killed, whatever it does."""
    verdict: str = ""
    """Why it is killed."""
    doing: Doing | None = None
    """What it did when that was decided."""
    reliever: int = 0
    """The worker that takes its place once it is ready."""

    @property
    def leaving(self) -> bool:
        """Whether it was told to leave."""
        return self.leave_by != _NEVER


class Crew:
    """Keeps `size` workers of a loaded application running, until it is told to leave."""

    def __init__(
        self,
        application: Application,
        settings: Settings,
        sockets: list[socket.socket],
        board: Board,
        block: int,
    ) -> None:
        self.size = settings.workers
        self.crashed: Callable[[str], None] = lambda what: None
        """Called with what happened to a worker that had to be replaced."""
        self.failed_to_start: Callable[[int], None] = lambda status: None
        """Called with the wait status of a worker that ended before it, or any before it, was ready."""
        self._application = application
        self._settings = settings
        self._sockets = sockets
        self._board = board
        self._block = block
        self._own = board.row(block, 0)
        self._vigil = Vigil(settings)
        self._out_of_memory = OutOfMemory()
        self._workers: dict[int, _Worker] = {}
        self._due: dict[int, float] = dict.fromkeys(range(self.size), 0.0)  # slot -> when to fork
        self._starts = Backoff()
        self._crashes = Backoff(free=3 * self.size + 2)
        self._look_at = 0.0
        self._relieve_after = 0.0
        self._complete = False  # whether all were ready once
        self._leaving = False
        self._renewal: Renewal | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no worker is left."""
        return not self._workers

    @property
    def is_complete(self) -> bool:
        """Whether all workers have been ready."""
        return self._complete

    # What the generation calls, in every turn

    def step(self, reactor: Reactor, become: Callable[[], None]) -> None:
        """Do what is due; `become` is called in a worker that was just forked."""
        now = time.monotonic()
        self._bury(reactor, now)
        if not self._complete:
            self._complete = sum(worker.ready for worker in self._workers.values()) >= self.size
        for slot in list(self._due):
            if self._due[slot] <= now and not self._leaving:
                del self._due[slot]
                self._fork(slot, reactor, become)
        for worker in list(self._workers.values()):
            self._press(worker, now)
        if now >= self._look_at:
            self._vigil.look()
            self._out_of_memory.look(now)
            self._look_at = now + self._vigil.interval_s
            for worker in list(self._workers.values()):
                self._look(worker, now, reactor, become)
        if self._renewal is not None:
            self._renewal.step(self._workers.values())
            if self._renewal.over:
                self._renewal = None

    def seconds_to_wait(self) -> float:
        """Return for how long nothing is due, if nothing happens."""
        deadlines = [self._look_at, *self._due.values()]
        for worker in self._workers.values():
            deadlines += [worker.leave_by, worker.kill_at]
            if not worker.ready:
                deadlines.append(worker.ready_by)
        return max(0.0, min(deadlines) - time.monotonic())

    def hear(self, channel: Channel, reactor: Reactor) -> None:
        """Read what a worker says."""
        worker = next((one for one in self._workers.values() if one.channel is channel), None)
        messages = channel.receive()
        if messages is None or worker is None:
            reactor.remove(channel)
            return
        for message in messages:
            if message.get("ready"):
                self._is_ready(worker)
            elif "reloaded_app" in message:
                if self._renewal is not None:
                    self._renewal.hear(worker.pid, message["failed"], self._workers.values())
            elif "failed" in message:
                logger.error(
                    "worker %d: the application did not start\n%s",
                    worker.pid,
                    message["failed"],
                    extra=facts(
                        "worker_not_started",
                        worker=worker.pid,
                        slot=worker.slot,
                        reason=message["failed"].rstrip().rpartition("\n")[2],
                    ),
                )

    # What the generation is told

    def resize(self, size: int) -> None:
        """Have more workers, or fewer: the last ones are told to leave."""
        if self._leaving:
            return
        added = range(self.size, size)
        self.size = size
        self._crashes.free = 3 * size + 2
        self._due.update(dict.fromkeys(added, 0.0))
        for slot in [slot for slot in self._due if slot >= size]:
            del self._due[slot]
        for worker in self._workers.values():
            if worker.slot >= size:
                self._dismiss(worker, going_away=False)

    def reload_app(self, name: str, tell: Tell) -> None:
        """Have one application's code reloaded in all workers, and tell how that went."""
        if self._leaving:
            tell("the server stops, or reloads as a whole", 0)
        elif self._renewal is not None:
            tell("another application is being reloaded: ask again when that is done", 0)
        elif why := why_not(self._application, name):
            tell(why, 0)
        else:
            self._renewal = Renewal(self._application, name, tell)

    def leave(self, *, going_away: bool) -> None:
        """Have all workers finish and leave; `going_away`: the server stops, else it restarts."""
        self._leaving = True
        if self._renewal is not None:
            self._renewal.give_up("the server stops, or reloads as a whole")
            self._renewal = None
        self._due.clear()
        for worker in self._workers.values():
            self._dismiss(worker, going_away=going_away)

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._workers.values():
            worker.kill_at = 0.0
            _signal(worker.pid, signal.SIGKILL)

    def disown(self) -> None:
        """In a process just forked: let go of what is the generation's."""
        for worker in self._workers.values():
            worker.channel.close()  # or its end would not show when the generation is gone
            worker.stacks.close()
        if self._renewal is not None:
            self._renewal.disown()
        disown_seeds(self._application)

    # Inside

    def _fork(
        self, slot: int, reactor: Reactor, become: Callable[[], None], relieved: _Worker | None = None
    ) -> None:
        index = next((i for i in range(1, ROWS) if not self._row(i).cells[Cell.STATE]), 0)
        if not index:
            reason = f"{ROWS - 1} workers of this generation are there already"
            self._cannot_fork(slot, reason, self._postpone(slot))
            return
        ours, theirs = Channel.pair()
        stacks = Stacks()
        now = time.monotonic()
        row = self._row(index)
        cells = row.cells
        cells[Cell.SLOT] = slot
        cells[Cell.BORN_NS] = cells[Cell.BEAT_NS] = time.monotonic_ns()
        cells[Cell.STATE] = State.STARTING
        self._own.cells[Cell.HIGHEST] = max(index, self._own.cells[Cell.HIGHEST])
        order_nurseries(self._application)
        try:
            pid = os.fork()
        except OSError as error:  # no memory or no process left: try again, and keep what there is
            row.clear()
            stacks.close()
            ours.close()
            theirs.close()
            leave_nurseries(self._application)
            if relieved is None:
                seconds = self._postpone(slot)
            else:
                seconds = self._starts.failed(now)
                self._relieve_after = now + seconds
            self._cannot_fork(slot, f"cannot fork a worker: {error}", seconds)
            return
        if pid == 0:
            ours.close()
            self._become_worker(index, theirs, stacks, become)
        theirs.close()
        leave_nurseries(self._application)
        cells[Cell.PID] = pid
        ready_by = now + self._settings.start_timeout_s + _KILL_GRACE_S
        jitter = random.random()  # noqa: S311 - no secret
        self._workers[pid] = _Worker(pid, slot, row, ours, stacks, ready_by, jitter)
        if relieved is not None:
            relieved.reliever = pid
        reactor.add(ours)

    def _become_worker(
        self, index: int, channel: Channel, stacks: Stacks, become: Callable[[], None]
    ) -> NoReturn:
        become()
        stacks.provide()
        desk = Desk(self._board, self._block, index)
        run_worker(self._application, self._settings, self._sockets, channel, desk)

    def _row(self, index: int) -> Row:
        return self._board.row(self._block, index)

    def _is_ready(self, worker: _Worker) -> None:
        worker.ready = True
        self._starts.recovered()
        for other in self._workers.values():
            if other.reliever == worker.pid:
                self._dismiss(other, going_away=False)

    def _dismiss(self, worker: _Worker, *, going_away: bool) -> None:
        if worker.leaving:
            return
        drain_s = self._settings.drain_timeout_s if worker.ready else 0.0
        worker.leave_by = time.monotonic() + drain_s + _KILL_GRACE_S
        worker.channel.send(going_away=going_away)

    def _press(self, worker: _Worker, now: float) -> None:
        """Enforce a worker's deadlines."""
        if now >= worker.kill_at:
            worker.kill_at = now + 60.0
            _signal(worker.pid, signal.SIGKILL)
        elif worker.kill_at == _NEVER:
            if now >= worker.leave_by:
                self._condemn(worker, now, "does not leave")
            elif not worker.ready and now >= worker.ready_by:
                self._condemn(worker, now, "is not ready within start_timeout_s")

    def _look(self, worker: _Worker, now: float, reactor: Reactor, become: Callable[[], None]) -> None:
        """See whether a worker hangs, or has reached a limit."""
        if not worker.ready or worker.kill_at != _NEVER:
            return
        if state := self._vigil.hangs(worker.pid, worker.row):
            self._condemn(worker, now, state)
            return
        if worker.leaving or self._leaving or self._relieving or now < self._relieve_after:
            return
        if reason := self._vigil.is_due(worker.pid, worker.row, worker.jitter):
            logger.info(
                "worker %d %s; replacing it",
                worker.pid,
                reason,
                extra=facts("worker_relieved", worker=worker.pid, slot=worker.slot, reason=reason),
            )
            self._fork(worker.slot, reactor, become, relieved=worker)

    @property
    def _relieving(self) -> bool:
        """Whether a worker is being relieved: one at a time, so that the others go on serving."""
        return any(one.reliever and not one.leaving for one in self._workers.values())

    def _condemn(self, worker: _Worker, now: float, verdict: str) -> None:
        """Have a worker write its stacks, and kill it."""
        worker.verdict = verdict
        worker.doing = Doing.of(worker.row)
        worker.kill_at = now + _LAST_WORDS_S
        worker.stacks.ask(worker.pid)

    def _bury(self, reactor: Reactor, now: float) -> None:
        """Take note of workers that ended, and have each replaced."""
        for pid, status in reap_these(list(self._workers)):
            worker = self._workers.pop(pid)
            reactor.remove(worker.channel)
            worker.channel.close()
            end = _End.of(worker, status, self._out_of_memory)
            self._take_over_counts(worker.row)
            worker.stacks.close()
            for other in self._workers.values():
                if other.reliever == pid:
                    other.reliever = 0
                    if not worker.ready and end is not None:
                        self._relieve_after = now + self._starts.failed(now)
                        end.log("the worker from before goes on")
                        end = None
            if end is None:
                continue
            if worker.leaving or self._leaving:
                if worker.verdict:
                    end.log()
                continue
            self._replace(worker, status, end, now)

    def _replace(self, worker: _Worker, status: int, end: _End, now: float) -> None:
        self._own.cells[Cell.RESTARTS] += 1
        self.crashed(end.what)
        if not worker.ready:
            if self._complete:
                seconds = self._postpone(worker.slot)
                end.log(f"next try in {seconds:g} s", retry_in_s=seconds)
            else:
                if worker.verdict:
                    end.log()
                self.failed_to_start(status)
            return
        if worker.slot >= self.size or worker.reliever:
            end.log()
            return
        wait_s = self._crashes.failed(now)
        self._due[worker.slot] = now + wait_s
        then = f"too many died lately: replacing it in {wait_s:g} s" if wait_s else "replacing it"
        end.log(then, retry_in_s=wait_s)

    def _take_over_counts(self, row: Row) -> None:
        version = self._own.cells[Cell.VERSION]
        self._own.cells[Cell.VERSION] = version + 1
        self._own.add_totals(row)
        row.clear()
        self._own.cells[Cell.VERSION] = version + 2

    def _postpone(self, slot: int) -> float:
        """Have a worker forked later; returns in how many seconds."""
        now = time.monotonic()
        seconds = self._starts.failed(now)
        self._due[slot] = now + seconds
        return seconds

    def _cannot_fork(self, slot: int, reason: str, seconds: float) -> None:
        for other, due in self._due.items():  # they would fare no better now
            self._due[other] = max(due, time.monotonic() + seconds)
        logger.error(
            "%s; next try in %g s",
            reason,
            seconds,
            extra=facts("worker_not_forked", slot=slot, reason=reason, retry_in_s=seconds),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _End:
    """How a worker ended, for the log."""

    what: str
    more: str
    """Its stacks."""
    fields: dict[str, Any]

    @classmethod
    def of(cls, worker: _Worker, status: int, out_of_memory: OutOfMemory) -> _End | None:
        """Return the end of a worker; None for one that left in peace as it was told."""
        if worker.leaving and not worker.verdict and os.waitstatus_to_exitcode(status) == 0:
            return None
        reason = worker.verdict or "died"
        what = f"{worker.verdict}; killing it" if worker.verdict else describe_exit(status)
        killed = not worker.verdict and os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        if killed and out_of_memory.happened(time.monotonic()):
            reason = "out of memory"
            what += f" by the kernel: {reason}, as much as this container or service may have"
        doing = worker.doing or Doing.of(worker.row)
        if not worker.verdict and not worker.ready:
            what += " before it was ready"
        fields = {"worker": worker.pid, "slot": worker.slot, "reason": reason}
        fields |= exit_facts(status) | doing.facts()
        return cls(f"worker {worker.pid} {what}{doing}", worker.stacks.read(), fields)

    def log(self, then: str = "", **fields: Any) -> None:
        """Log it, with what will be done."""
        text = "; ".join(filter(None, (self.what, then)))
        logger.error(
            "%s%s", text, self.more and "\n" + self.more, extra=facts("worker_died", **self.fields, **fields)
        )


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
