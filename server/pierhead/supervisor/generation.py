"""A generation: the process that imports the application once and keeps its workers running.

It is started by the master with one end of a control channel, over which the settings and the listeners'
descriptors come. It tells the master `ready` or `failed`, and leaves when it is told to `retire`, on SIGTERM,
or when the master is gone.
"""

from __future__ import annotations

import dataclasses
import gc
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from pierhead.config import Settings
from pierhead.errors import LoadError
from pierhead.interfaces.base import Application
from pierhead.interfaces.load import load_configured
from pierhead.log import configure
from pierhead.supervisor.channel import Channel
from pierhead.supervisor.process import describe_exit, drop_privileges, end_with_parent, reap_these
from pierhead.supervisor.reactor import Reactor
from pierhead.supervisor.worker import START_FAILED, run_worker

__all__ = ["Generation", "main"]

logger = logging.getLogger("pierhead.generation")

_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1)
_KILL_GRACE_S = 3.0
_LONGEST_BACKOFF_S = 30.0


def main(channel_fd: int) -> int:
    """Run a generation; returns its exit code: 0 when told to leave, 3 when the application did not start."""
    channel = Channel.from_fd(channel_fd)
    orders = channel.receive_one()
    if orders is None:
        return 1
    values: dict[str, Any] = {name: _frozen(value) for name, value in orders["settings"].items()}
    settings = Settings(**values)
    sockets = [socket.socket(fileno=fd) for fd in orders["listeners"]]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the master
    configure(settings, "generation")
    try:
        drop_privileges(settings)
        end_with_parent()  # also while the application is imported, when nobody listens to the channel
        application = load_configured(settings)
    except (LoadError, OSError, LookupError) as error:
        channel.send(failed=str(error), files=imported_files())
        return START_FAILED
    try:
        application.start_master()
    except Exception:
        logger.exception("the application's start hook for the master failed")
        channel.send(failed="a start hook for the master failed", files=imported_files())
        return START_FAILED
    try:
        return Generation(application, settings, sockets, channel).run()
    finally:
        application.stop_master()


def imported_files() -> list[str]:
    """Return the source files of all imported modules outside the installed packages."""
    files = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py") and not file.startswith((sys.prefix, sys.base_prefix)):
            files.add(str(Path(file).resolve()))
    return sorted(files)


@dataclasses.dataclass
class _Worker:
    """A worker as its generation sees it."""

    pid: int
    slot: int
    channel: Channel
    ready: bool = False


class Generation:
    """Forks the workers of an application that is loaded, replaces those that die, and ends them."""

    def __init__(
        self, application: Application, settings: Settings, sockets: list[socket.socket], master: Channel
    ) -> None:
        self._application = application
        self._settings = settings
        self._sockets = sockets
        self._master = master
        self._workers: dict[int, _Worker] = {}
        self._due: dict[int, float] = {}  # slot -> when its worker is to be forked
        self._failures = 0  # in a row, of workers that were never ready
        self._announced = False
        self._leaving = False
        self._kill_at = 0.0
        self._code = 0

    def run(self) -> int:
        """Keep the workers running until this generation is told to leave; returns the exit code."""
        gc.collect()
        gc.freeze()  # what is shared with the workers stays shared: the collector does not touch it
        self._due = dict.fromkeys(range(self._settings.workers), 0.0)
        self._reactor = Reactor(_SIGNALS)
        self._reactor.add(self._master)
        try:
            while not (self._leaving and not self._workers):
                self._fork_due()
                signals, channels = self._reactor.wait(self._seconds_to_wait())
                for number in signals:
                    self._on_signal(number)
                for channel in channels:
                    if channel is self._master:
                        self._on_master()
                    else:
                        self._on_worker(channel)
                self._bury()
                if self._leaving and time.monotonic() >= self._kill_at:
                    self._kill()
        finally:
            self._reactor.close()
        return self._code

    def _seconds_to_wait(self) -> float:
        deadlines = list(self._due.values())
        if self._leaving:
            deadlines = [self._kill_at]
        return max(0.0, min(deadlines, default=time.monotonic() + 60.0) - time.monotonic())

    def _fork_due(self) -> None:
        now = time.monotonic()
        for slot, due in list(self._due.items()):
            if due <= now and not self._leaving:
                del self._due[slot]
                self._fork(slot)

    def _fork(self, slot: int) -> None:
        ours, theirs = Channel.pair()
        try:
            pid = os.fork()
        except OSError as error:  # no memory or no process left: try again, and keep what there is
            ours.close()
            theirs.close()
            self._postpone(slot, f"cannot fork a worker: {error}")
            return
        if pid == 0:
            self._become_worker(ours, theirs)
        theirs.close()
        self._workers[pid] = _Worker(pid, slot, ours)
        self._reactor.add(ours)

    def _become_worker(self, ours: Channel, theirs: Channel) -> None:
        self._reactor.close()
        ours.close()
        self._master.close()
        for worker in self._workers.values():
            worker.channel.close()  # or its end would not show when the generation is gone
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        run_worker(self._application, self._settings, self._sockets, theirs)

    def _on_signal(self, number: signal.Signals) -> None:
        if number is signal.SIGTERM:
            self._leave(going_away=True)
        elif number is signal.SIGQUIT:
            self._leave(going_away=True)
            self._kill()

    def _on_master(self) -> None:
        messages = self._master.receive()
        if messages is None:
            if not self._leaving:
                logger.error("the master is gone; leaving")
            self._reactor.remove(self._master)
            self._leave(going_away=True)
            return
        for message in messages:
            if "retire" in message:
                self._leave(going_away=not message["retire"])

    def _on_worker(self, channel: Channel) -> None:
        worker = next((one for one in self._workers.values() if one.channel is channel), None)
        messages = channel.receive()
        if messages is None or worker is None:
            self._reactor.remove(channel)
            return
        for message in messages:
            if message.get("ready"):
                worker.ready = True
                self._failures = 0
                self._announce()
            elif "failed" in message:
                logger.error("worker %d: the application did not start\n%s", worker.pid, message["failed"])

    def _announce(self) -> None:
        ready = sum(worker.ready for worker in self._workers.values())
        if not self._announced and ready == self._settings.workers:
            self._announced = True
            self._master.send(ready=True, files=imported_files())

    def _bury(self) -> None:
        """Take note of workers that ended, and have each replaced."""
        for pid, status in reap_these(list(self._workers)):
            worker = self._workers.pop(pid)
            self._reactor.remove(worker.channel)
            worker.channel.close()
            if self._leaving:
                continue
            what = f"worker {pid} {describe_exit(status)}"
            if worker.ready:
                logger.error("%s; replacing it", what)
                self._due[worker.slot] = 0.0
            elif not self._announced:
                self._give_up(status)
            else:
                self._postpone(worker.slot, f"{what} before it was ready")

    def _give_up(self, status: int) -> None:
        """End a generation whose workers cannot start at all."""
        self._master.send(failed="the application did not start in a worker", files=imported_files())
        self._code = START_FAILED if os.waitstatus_to_exitcode(status) == START_FAILED else 1
        self._leave(going_away=True)

    def _postpone(self, slot: int, reason: str) -> None:
        self._failures += 1
        seconds = min(2.0 ** (self._failures - 1), _LONGEST_BACKOFF_S)
        logger.error("%s; next try in %g s", reason, seconds)
        self._due[slot] = time.monotonic() + seconds

    def _leave(self, *, going_away: bool) -> None:
        if self._leaving:
            return
        self._leaving = True
        self._due.clear()
        for bound in self._sockets:
            bound.close()  # or clients would go on being queued on it, for nobody
        in_progress = any(worker.ready for worker in self._workers.values())
        drain_s = self._settings.drain_timeout_s if in_progress else 0.0
        self._kill_at = time.monotonic() + drain_s + _KILL_GRACE_S
        for worker in self._workers.values():
            worker.channel.send(going_away=going_away)

    def _kill(self) -> None:
        for worker in self._workers.values():
            logger.error("worker %d does not leave; killing it", worker.pid)
            os.kill(worker.pid, signal.SIGKILL)
        self._kill_at = time.monotonic() + 60.0


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
