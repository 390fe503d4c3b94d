"""The pool: the processes of one application in a worker, kept warm, each for one request at a time.

There are at least `min` of them, one more than are busy, and never more than `max`. Those that are idle
beyond that leave after a while. When all are busy requests wait in line, which is bounded in length and time.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pierhead.isolation.frames import Kind
from pierhead.log import facts
from pierhead.supervisor.backoff import Backoff
from pierhead.supervisor.process import describe_exit

if TYPE_CHECKING:
    from pierhead.config.isolation import IsolationLimits
    from pierhead.isolation.link import Link
    from pierhead.isolation.nursery import Nursery

__all__ = ["Busy", "Pool", "PooledProcess", "StartError"]

logger = logging.getLogger("pierhead.isolation")

_LEAVE_S = 2.0  # for a process that was told to leave; then it is killed
_STOP_S = 6.0  # the same, where the application is stopped in it


class StartError(Exception):
    """The application did not start in a process; the message says why."""


class Busy(Exception):
    """All processes are busy, and the line is full or was too slow."""


class _MovedError(Exception):
    """Another pool has taken over: wait there."""


@dataclasses.dataclass(eq=False)
class PooledProcess:
    """A process as its worker sees it."""

    tag: int
    link: Link
    pool: Pool
    """Whose it is."""
    pid: int = 0
    ready: bool = False
    busy: bool = False
    retired: bool = False
    """Whether it gets no more requests: it was told to leave, or is killed."""
    reason: str = ""
    """Why the application did not start in it."""
    idle_since: float = 0.0
    ended: asyncio.Future[str] = dataclasses.field(default_factory=asyncio.Future)
    """Set to how it ended, with its stacks in the lines that follow."""
    deadline: asyncio.TimerHandle | None = None


class Pool:
    """The processes of application `part` of a nursery. Use it on one event loop, from `start` to `close`."""

    def __init__(self, nursery: Nursery, part: int, name: str, limits: IsolationLimits) -> None:
        self.name = name
        self.limits = limits
        self.crashed = 0
        """Processes that ended by themselves while they worked."""
        self.killed = 0
        """Processes that were killed because they took too long."""
        self.nursery = nursery
        self.told: set[Callable[[], None]] = set()
        """Called where another pool takes over: what would go on for ever is to end."""
        self._part = part
        self._processes: dict[int, PooledProcess] = {}
        self._idle: deque[PooledProcess] = deque()  # the one that is idle for longest on the left
        self._line: deque[asyncio.Future[PooledProcess]] = deque()
        self._starts = Backoff()
        self._crashes = Backoff(free=limits.max_processes)
        self._order_after = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._trim: asyncio.TimerHandle | None = None
        self._first: asyncio.Future[None] | None = None
        self._changed = asyncio.Event()
        self._closed = False
        self._successor: Pool | None = None

    @property
    def superseded(self) -> bool:
        """Whether another pool has taken over."""
        return self._successor is not None

    @property
    def size(self) -> int:
        """How many processes there are."""
        return len(self._processes)

    @property
    def busy(self) -> int:
        """How many of them are working."""
        return sum(process.busy for process in self._processes.values())

    @property
    def waiting(self) -> int:
        """How many requests wait in line."""
        return len(self._line)

    # Starting and stopping

    async def start(self) -> None:
        """Fork the first processes and wait until they are ready; raises StartError where one is not."""
        self._first = asyncio.get_running_loop().create_future()
        self._replenish()
        await self._first
        self._first = None

    def give_way(self, successor: Pool) -> None:
        """Have another pool take over all further requests, and those that wait; `close` this one then."""
        self._successor = successor
        self._closed = True
        for turn in self._line:
            if not turn.done():
                turn.set_exception(_MovedError())
        for tell in list(self.told):
            tell()

    async def close(self) -> None:
        """Have all processes leave, and wait until they have."""
        self._closed = True
        for timer in (self._retry, self._trim):
            if timer is not None:
                timer.cancel()
        for process in list(self._idle):
            self.retire(process, _STOP_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.drain_timeout_s):
                while self.busy:
                    self._changed.clear()
                    await self._changed.wait()
        for process in list(self._processes.values()):
            self.retire(process, _STOP_S)
        while self._processes:
            self._changed.clear()
            await self._changed.wait()

    # What a request needs

    def lease(self) -> PooledProcess | None:
        """Return a process for one request, None where it has to wait in line."""
        if self._successor is not None:
            return self._successor.lease()
        while self._idle and not self._line:
            process = self._idle.pop()  # the one whose memory is warm
            if not process.link.ended:  # else its end will be told in a moment
                process.busy = True
                self._replenish()
                return process
        return None

    async def wait_in_line(self) -> PooledProcess:
        """Return a process for one request when it is its turn; raises Busy where that takes too long."""
        if self._successor is not None:
            return await self._successor.wait_in_line()
        if len(self._line) >= self.limits.max_queued or self._closed:
            raise Busy
        turn: asyncio.Future[PooledProcess] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        self._replenish()
        try:
            async with asyncio.timeout(self.limits.queue_timeout_s or None):
                return await turn
        except _MovedError:
            pass
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(turn.result())
            if isinstance(error, TimeoutError):
                raise Busy from None
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._line.remove(turn)
        return await self.wait_in_line()  # where it goes on

    def release(self, process: PooledProcess) -> None:
        """Take a process back that has done its work."""
        if process.busy:
            process.busy = False
            self._offer(process)

    def retire(self, process: PooledProcess, patience_s: float = _LEAVE_S) -> None:
        """Have a process leave, and kill it where it does not; it works for nobody any more."""
        if process.retired:
            return
        process.retired = True
        process.link.send(Kind.GONE)
        if process.deadline is not None:
            process.deadline.cancel()
        loop = asyncio.get_running_loop()
        process.deadline = loop.call_later(patience_s, self.nursery.kill, process.tag)

    def kill(self, process: PooledProcess) -> None:
        """Kill a process that takes too long; its stacks come with how it ended."""
        if not process.ended.done():
            process.retired = True
            self.killed += 1
            self.nursery.kill(process.tag, ask=True)

    def finish_off(self, process: PooledProcess) -> None:
        """Kill a process that has closed its link: it ends already, or is out of its mind."""
        if not process.ended.done():
            process.retired = True
            self.nursery.kill(process.tag)

    # What the nursery says

    def owns(self, tag: int) -> bool:
        """Tell whether a process is one of this pool's."""
        return tag in self._processes

    def forked(self, tag: int, pid: int) -> None:
        """Take note of a process's id."""
        self._processes[tag].pid = pid

    def ended(self, tag: int, status: int | None, reason: str, stacks: str) -> None:
        """Take note of a process's end, and have it replaced."""
        process = self._processes.pop(tag)
        if process.deadline is not None:
            process.deadline.cancel()
        how = f"cannot be forked: {reason}" if status is None else describe_exit(status)
        process.ended.set_result(f"{how}\n{stacks}" if stacks else how)
        process.link.end()
        if not process.busy:
            process.link.close()
        with contextlib.suppress(ValueError):
            self._idle.remove(process)
        if not process.ready:
            self._did_not_start(process, process.ended.result())
        elif not process.busy and not process.retired:
            self.crashed += 1
            what = f"process {process.pid} of {self.name} {how} while it was idle"
            self._postpone(what, self._crashes, stacks)
        self._changed.set()
        self._replenish()

    def lost(self) -> None:
        """Take note that the nursery is gone, and all processes with it."""
        self._closed = True
        for process in list(self._processes.values()):
            self.ended(process.tag, None, "the process that forks is gone", "")
        for turn in self._line:
            if not turn.done():
                turn.set_exception(Busy())

    # Inside

    def _replenish(self) -> None:
        """Order as many processes as are wanted."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._order_after:  # then a timer calls again
            return
        starting = sum(not process.ready for process in self._processes.values())
        busy = self.busy
        wanted = max(self.limits.min_processes, busy + len(self._line) + 1)
        usable = busy + starting + sum(not process.retired for process in self._idle)
        missing = min(wanted - usable, self.limits.max_processes - self.size)
        for _ in range(missing):
            tag = next(_tags)
            try:
                link = self.nursery.order(self._part, tag)
            except OSError as error:  # no descriptors left
                what = f"a process of {self.name} cannot be forked: {error.strerror}"
                self._postpone(what, self._starts)
                return
            process = self._processes[tag] = PooledProcess(tag, link, self)
            process.deadline = loop.call_later(self.limits.start_timeout_s + _LEAVE_S, self.nursery.kill, tag)
            task = asyncio.ensure_future(self._welcome(process))
            _tasks.add(task)
            task.add_done_callback(_tasks.discard)

    async def _welcome(self, process: PooledProcess) -> None:
        """Wait until a process is ready."""
        frame = await process.link.read()
        if frame is None:
            return
        if frame.kind is not Kind.READY:
            process.reason = frame.facts.get("reason", "")
            return
        if process.deadline is not None and not process.retired:
            process.deadline.cancel()
            process.deadline = None
        process.ready = True
        self._starts.recovered()
        self._offer(process)
        ready = sum(one.ready for one in self._processes.values())
        if self._first is not None and not self._first.done() and ready >= self.limits.min_processes:
            self._first.set_result(None)

    def _offer(self, process: PooledProcess) -> None:
        """Give a process to who waits for longest, or keep it."""
        self._changed.set()
        if process.retired or process.ended.done():
            return
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                process.busy = True
                turn.set_result(process)
                self._replenish()
                return
        process.idle_since = asyncio.get_running_loop().time()
        self._idle.append(process)
        self._let_go()

    def _let_go(self) -> None:
        """Have those leave that are idle for long and are not wanted."""
        if self._trim is not None:
            self._trim.cancel()
            self._trim = None
        loop = asyncio.get_running_loop()
        surplus = len(self._idle) + self.busy - max(self.limits.min_processes, self.busy + 1)
        while surplus > 0 and self._idle:
            leaves_at = self._idle[0].idle_since + self.limits.idle_timeout_s
            if leaves_at > loop.time():
                self._trim = loop.call_at(leaves_at, self._let_go)
                return
            self.retire(self._idle.popleft(), _STOP_S)
            surplus -= 1

    def _did_not_start(self, process: PooledProcess, how: str) -> None:
        reason = process.reason or how
        if self._first is not None:
            if not self._first.done():
                what = f"{self.name} did not start in an isolated process: {reason}"
                self._first.set_exception(StartError(what))
            self._closed = True
        elif not process.retired:
            head, _, rest = reason.partition("\n")
            self._postpone(f"{self.name} did not start in an isolated process: {head}", self._starts, rest)

    def _postpone(self, what: str, failures: Backoff, stacks: str = "") -> None:
        """Log what has happened, and wait before the next fork where it has happened often."""
        loop = asyncio.get_running_loop()
        seconds = failures.failed(loop.time())
        then = f"; next try in {seconds:g} s" if seconds else "; replacing it"
        logger.error(
            "%s%s%s",
            what,
            then,
            stacks and "\n" + stacks,
            extra=facts("isolated_process_lost", reason=what, retry_in_s=seconds),
        )
        self._order_after = loop.time() + seconds
        if self._retry is not None:
            self._retry.cancel()
        self._retry = loop.call_later(seconds, self._try_again)

    def _try_again(self) -> None:
        self._order_after = 0.0
        self._replenish()


_tags = itertools.count(1)
_tasks: set[asyncio.Task[None]] = set()
