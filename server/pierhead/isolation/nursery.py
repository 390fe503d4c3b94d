"""The nursery: a process that has the applications and nothing else, and forks processes from them.

A worker forks it before it has an event loop and threads, from which it would not be safe to fork. The
nursery has neither: it waits for orders, forks, kills, reaps, and says how each process ended. It ends, with
all it has forked, when the worker closes its link or is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from pierhead.isolation.frames import Frame, FrameReader, Kind, encode
from pierhead.isolation.link import Link
from pierhead.isolation.process import run_process
from pierhead.log import configure, facts
from pierhead.supervisor.process import describe_exit, end_with_parent, reap_these
from pierhead.supervisor.reactor import Reactor
from pierhead.supervisor.stacks import Stacks

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.interfaces.base import Application

__all__ = ["Closable", "Nursery", "run_nursery", "wait_for"]

logger = logging.getLogger("pierhead.isolation")

_LAST_WORDS_S = 0.2
_SECOND_CHANCE_S = 1.0  # for a nursery whose answer is there, where it is the worker that was late to read it
_ORDERS_BYTES = 64 << 10
_MOST_FILES = 16


class Closable(Protocol):
    """What a process that is forked has to let go of."""

    def close(self) -> None:
        """Close it."""


class Nursery:
    """A worker's side: gives orders, once `attach` was called on its event loop."""

    def __init__(self, pid: int, end: socket.socket, hang_timeout_s: float) -> None:
        """Where it answers no order for `hang_timeout_s` it is killed; 0: it may take for ever."""
        self.pid = pid
        self.ended: Callable[[int, int | None, str, str], None] = _nothing
        """Called with tag, wait status (None: it could not be forked), reason and stacks."""
        self.forked: Callable[[int, int], None] = _nothing
        """Called with tag and pid."""
        self.lost: Callable[[], None] = _nothing
        """Called when the nursery is gone, but was not told to leave."""
        self._end = end
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving = False
        self._hang_timeout_s = hang_timeout_s
        self._unanswered = 0  # orders, each of which is answered once
        self._timer: asyncio.TimerHandle | None = None
        self._verdict = ""  # why it was killed from here

    @classmethod
    def fork(
        cls, applications: Sequence[Application], settings: Settings, inherited: Sequence[Closable] = ()
    ) -> Nursery:
        """Fork it, from a process without threads and event loop. Raises OSError.

        `inherited` is what is closed in the nursery, so that it is not held open there.
        """
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            code = 1
            try:
                ours.close()
                for each in inherited:
                    each.close()
                end_with_parent(signal.SIGKILL)
                if os.getppid() == parent:
                    run_nursery(theirs, applications, settings)
                    code = 0
            except BaseException:
                logger.critical("the nursery failed", exc_info=True)
            finally:
                os._exit(code)  # not through the frames of the process this one was forked from
        theirs.close()
        return cls(pid, ours, settings.hang_timeout_s)

    def attach(self, link: Link | None = None) -> None:
        """Begin to hear what it says, on the running loop; where its link is there already, over that."""
        self._link = link or Link(self._end)
        self._task = asyncio.ensure_future(self._hear(self._link))

    def order(self, part: int, tag: int) -> Link:
        """Have it fork a process of an application; returns the link to it. Raises OSError."""
        assert self._link is not None
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._link.send(Kind.FORK, {"part": part, "tag": tag}, files=[theirs.fileno()])
            except OSError:
                ours.close()
                raise
        self._expect_answer()
        return Link(ours)

    def copy(self, end: socket.socket) -> None:
        """Have it fork another nursery, for who has the other end."""
        assert self._link is not None
        self._link.send(Kind.COPY, files=[end.fileno()])

    def kill(self, tag: int, *, ask: bool = False) -> None:
        """Kill a process; with `ask` it writes its stacks before."""
        if self._link is not None:
            self._link.send(Kind.KILL, {"tag": tag, "ask": ask})
            self._expect_answer()

    async def close(self) -> None:
        """End it and what is left of its processes."""
        self._leaving = True
        if self._timer is not None:
            self._timer.cancel()
        if self._link is None:
            self._end.close()
        else:
            assert self._task is not None
            self._link.close()
            self._task.cancel()
            await asyncio.wait([self._task])
        await asyncio.to_thread(wait_for, self.pid)

    def _expect_answer(self) -> None:
        self._unanswered += 1
        if self._unanswered == 1:
            self._wait_for_answer()

    def _wait_for_answer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._unanswered and self._hang_timeout_s and not self._leaving:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._hang_timeout_s, self._suspect, loop)

    def _suspect(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(_SECOND_CHANCE_S, self._give_up)

    def _give_up(self) -> None:
        """Kill it: it is stopped, or out of its mind, and nothing that it forked could be ended any more."""
        self._timer = None
        self._verdict = f"has not answered for {self._hang_timeout_s:g} s (hang_timeout_s), and was killed"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def _hear(self, link: Link) -> None:
        while (frame := await link.read()) is not None:
            told = frame.facts
            if frame.kind in {Kind.FORKED, Kind.HEARD} or (
                frame.kind is Kind.ENDED and told["status"] is None
            ):
                self._unanswered -= 1
                self._wait_for_answer()
            if frame.kind is Kind.FORKED:
                self.forked(told["tag"], told["pid"])
            elif frame.kind is Kind.ENDED:
                self.ended(told["tag"], told["status"], told["reason"], told["stacks"])
        if not self._leaving:
            status = await asyncio.to_thread(wait_for, self.pid)
            ended = self._verdict or ("is gone" if status is None else describe_exit(status))
            logger.error(
                "the process that forks others (%d) %s: this worker leaves",
                self.pid,
                ended,
                extra=facts("nursery_lost", nursery=self.pid, reason=ended),
            )
            self.lost()


def run_nursery(end: socket.socket, applications: Sequence[Application], settings: Settings) -> None:
    """Be a nursery, for the worker that has the other end, until that is gone."""
    _Forker(end, applications, settings).run()


@dataclasses.dataclass
class _Forked:
    """A process as the nursery sees it."""

    tag: int
    stacks: Stacks
    kill_at: float = float("inf")


class _Forker:
    """The nursery itself."""

    def __init__(self, end: socket.socket, applications: Sequence[Application], settings: Settings) -> None:
        self._end = end
        self._applications = applications
        self._settings = settings
        self._processes: dict[int, _Forked] = {}
        self._copies: list[int] = []
        self._reader = FrameReader()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # they are for the master
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        configure(settings, "nursery")
        _import_ahead(settings)

    def run(self) -> None:
        """Do what is ordered until the worker is gone, then end all."""
        self._reactor = Reactor([signal.SIGCHLD])
        self._reactor.add(self._end)
        while True:
            _, channels = self._reactor.wait(self._seconds_to_wait())
            if channels:
                try:
                    data, files, _, _ = socket.recv_fds(self._end, _ORDERS_BYTES, _MOST_FILES)
                except OSError:
                    break
                if not data:
                    break
                for frame in self._reader.feed(data):
                    self._obey(frame, files)
            self._kill_late_ones()
            self._bury()
        for pid in self._processes:
            _kill(pid)
        for pid in self._processes:
            os.waitpid(pid, 0)

    def _obey(self, frame: Frame, files: list[int]) -> None:
        if frame.kind is Kind.COPY:
            self._copy(files.pop(0))
            return
        tag = frame.facts["tag"]
        if frame.kind is Kind.FORK:
            self._fork(frame.facts["part"], tag, files.pop(0))
            return
        self._say(Kind.HEARD)
        for pid, process in self._processes.items():
            if process.tag == tag:
                process.kill_at = time.monotonic()
                if frame.facts["ask"]:
                    process.stacks.ask(pid)
                    process.kill_at += _LAST_WORDS_S

    def _fork(self, part: int, tag: int, fd: int) -> None:
        end = socket.socket(fileno=fd)
        stacks = Stacks()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            stacks.close()
            self._say(Kind.ENDED, tag=tag, status=None, reason=error.strerror, stacks="")
            return
        finally:
            if os.getpid() == parent:
                end.close()
        if pid == 0:
            self._become_process(part, end, stacks, parent)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # both do it, whoever is first
        self._processes[pid] = _Forked(tag, stacks)
        self._say(Kind.FORKED, tag=tag, pid=pid)

    def _copy(self, fd: int) -> None:
        """Fork another nursery, which lives on when this one ends."""
        with socket.socket(fileno=fd) as end:
            try:
                pid = os.fork()
            except OSError:  # who asked for it sees the end of the link
                return
            if pid:
                self._copies.append(pid)
                return
            code = 1
            try:
                self._let_go()
                end.sendall(encode(Kind.LOADED, {"pid": os.getpid()}))
                run_nursery(end, self._applications, self._settings)
                code = 0
            except BaseException:
                logger.critical("the nursery failed", exc_info=True)
            finally:
                os._exit(code)

    def _let_go(self) -> None:
        """In a process just forked: close what is this one's."""
        self._reactor.close()
        self._end.close()
        for process in self._processes.values():
            process.stacks.close()

    def _become_process(self, part: int, end: socket.socket, stacks: Stacks, parent: int) -> NoReturn:
        try:
            os.setpgid(0, 0)
            end_with_parent(signal.SIGKILL)
            self._let_go()
            stacks.provide()
            if os.getppid() == parent:
                run_process(self._applications[part], self._settings, end)
        finally:
            os._exit(1)

    def _bury(self) -> None:
        for pid, status in reap_these(list(self._processes)):
            process = self._processes.pop(pid)
            self._say(Kind.ENDED, tag=process.tag, status=status, reason="", stacks=process.stacks.read())
            process.stacks.close()
        for pid, _ in reap_these(list(self._copies)):
            self._copies.remove(pid)

    def _kill_late_ones(self) -> None:
        now = time.monotonic()
        for pid, process in self._processes.items():
            if now >= process.kill_at:
                process.kill_at = float("inf")
                _kill(pid)

    def _seconds_to_wait(self) -> float | None:
        first = min((process.kill_at for process in self._processes.values()), default=float("inf"))
        return None if first == float("inf") else max(0.0, first - time.monotonic())

    def _say(self, kind: Kind, **facts: Any) -> None:
        with contextlib.suppress(OSError):  # the worker is gone: the next look shows it
            self._end.sendall(encode(kind, facts))


def _kill(pid: int) -> None:
    """Kill a process, and the programs that it has started and that wait with it for nobody."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        os.kill(pid, signal.SIGKILL)


def _import_ahead(settings: Settings) -> None:
    """Import what each process would import for itself: so it is there once, in memory that they share."""
    import pierhead.transports.websocket  # noqa: F401

    if settings.loop != "asyncio":
        with contextlib.suppress(ImportError):
            import uvloop  # noqa: F401


def wait_for(pid: int) -> int | None:
    """Wait for a child that ends; returns its wait status, None where somebody else has reaped it."""
    try:
        return os.waitpid(pid, 0)[1]
    except OSError as error:
        if error.errno != errno.ECHILD:
            raise
        return None


def _nothing(*_: Any) -> None:
    """Do nothing."""
