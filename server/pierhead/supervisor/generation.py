"""A generation: the process that imports the application once and keeps its workers running.

It is started by the master with one end of a control channel, over which the settings and the listeners'
descriptors come. It tells the master `ready` or `failed`, and leaves when it is told to `retire`, on SIGTERM,
or when the master is gone.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pierhead.board import Board, Cell, Row, State, fits
from pierhead.config import Settings
from pierhead.config.settings import unpacked
from pierhead.errors import PierheadError
from pierhead.interfaces.configured import load_configured
from pierhead.log import configure, facts
from pierhead.supervisor import control, pidfile, read_certificates
from pierhead.supervisor.account import drop_privileges
from pierhead.supervisor.channel import Channel
from pierhead.supervisor.crew import Crew
from pierhead.supervisor.process import end_with_parent
from pierhead.supervisor.pulse import BEAT_S
from pierhead.supervisor.reactor import Reactor
from pierhead.supervisor.start import START_FAILED

__all__ = ["Generation", "main"]

logger = logging.getLogger("pierhead.generation")

_FAREWELL_S = 1.0  # for a master that is gone to be gone altogether
_OTHER_VERSION = (
    "the server was started with another version of pierhead than the one that is installed now: "
    "let it upgrade itself with kill -USR2 {}"
)
_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1)


def main(channel_fd: int) -> int:
    """Run a generation; returns its exit code: 0 when told to leave, 3 when the application did not start."""
    channel = Channel.from_fd(channel_fd)
    orders = channel.receive_one()
    if orders is None:
        return 1
    found = unpacked(orders["settings"])
    if found is None or not fits(orders["board"]):
        channel.send(failed=_OTHER_VERSION.format(os.getppid()), files=[])
        return START_FAILED
    settings = found
    sockets = [socket.socket(fileno=fd) for fd in orders["listeners"]]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the master
    configure(settings, "generation")
    try:
        read_certificates(settings)  # while the keys may be read
        drop_privileges(settings)
        end_with_parent()  # also while the application is imported, when nobody listens to the channel
        application = load_configured(settings)
    except (PierheadError, OSError) as error:
        channel.send(failed=str(error), files=imported_files())
        return START_FAILED
    try:
        application.start_master()
    except Exception:
        logger.exception(
            "the application's start hook for the master failed", extra=facts("start_hook_failed")
        )
        channel.send(failed="a start hook for the master failed", files=imported_files())
        return START_FAILED
    try:
        board = Board(orders["board"])
        block = orders["block"]
        crew = Crew(application, settings, sockets, board, block)
        generation = Generation(crew, sockets, channel, board.row(block, 0))
        master = os.getppid()
        generation.orphaned = lambda: _tidy_up(settings, master)
        return generation.run()
    finally:
        application.stop_master()


def _tidy_up(settings: Settings, master: int) -> None:
    """Remove what a master that was killed has left behind, for it would lie."""
    deadline = time.monotonic() + _FAREWELL_S
    while os.getppid() == master and time.monotonic() < deadline:
        time.sleep(0.005)  # what it has open is closed one by one, and our channel perhaps first
    if settings.pid_file:
        pidfile.remove_stale(settings.pid_file, master)
    if settings.control_socket:
        control.remove_stale(settings.control_socket)


def imported_files() -> list[str]:
    """Return the source files of all imported modules outside the installed packages."""
    files = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py") and not file.startswith((sys.prefix, sys.base_prefix)):
            files.add(str(Path(file).resolve()))
    return sorted(files)


class Generation:
    """Runs the crew of an application that is loaded, and does what the master says."""

    def __init__(self, crew: Crew, sockets: list[socket.socket], master: Channel, row: Row) -> None:
        self._crew = crew
        self._sockets = sockets
        self._master = master
        self._row = row
        self.orphaned: Callable[[], None] = lambda: None
        """Called when the master is gone."""
        self._announced = False
        self._leaving = False
        self._code = 0

    def run(self) -> int:
        """Keep the workers running until this generation is told to leave; returns the exit code."""
        gc.collect()
        gc.freeze()  # what is shared with the workers stays shared: the collector does not touch it
        crew = self._crew
        crew.crashed = lambda what: self._master.send(crashed=what)
        crew.failed_to_start = self._give_up
        self._reactor = Reactor(_SIGNALS)
        self._reactor.add(self._master)
        if self._master.waiting:  # said before the application was imported, in one breath with the settings
            self._on_master()
        try:
            while True:
                self._row.cells[Cell.BEAT_NS] = time.monotonic_ns()
                crew.step(self._reactor, self._become_worker)
                if self._leaving and crew.is_empty:
                    break
                self._announce()
                signals, channels = self._reactor.wait(min(crew.seconds_to_wait(), BEAT_S))
                for number in signals:
                    self._on_signal(number)
                for channel in channels:
                    if channel is self._master:
                        self._on_master()
                    else:
                        crew.hear(channel, self._reactor)
        finally:
            self._reactor.close()
        return self._code

    def _become_worker(self) -> None:
        self._reactor.close()
        self._master.close()
        self._crew.disown()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)

    def _on_signal(self, number: signal.Signals) -> None:
        if number is signal.SIGTERM:
            self._leave(going_away=True)
        elif number is signal.SIGQUIT:
            self._leave(going_away=True)
            self._crew.kill()

    def _on_master(self) -> None:
        messages = self._master.receive()
        if messages is None:
            if not self._leaving:
                logger.error("the master is gone; leaving", extra=facts("master_gone"))
            self.orphaned()  # also while leaving: its death may have come as a signal first
            self._reactor.remove(self._master)
            self._leave(going_away=True)
            return
        for message in messages:
            if "retire" in message:
                self._leave(going_away=not message["retire"])
            elif "workers" in message:
                self._crew.resize(message["workers"])
            elif "reload_app" in message:
                self._reload_app(message["reload_app"], message["ticket"])

    def _reload_app(self, name: str, ticket: int) -> None:
        """Have the workers reload one application; the master is told how that went."""

        def tell(failed: str, workers: int) -> None:
            self._master.send(app_reloaded=name, ticket=ticket, failed=failed, workers=workers)

        self._crew.reload_app(name, tell)

    def _announce(self) -> None:
        if not self._announced and self._crew.is_complete:
            self._announced = True
            self._row.cells[Cell.STATE] = State.SERVING
            self._master.send(ready=True, files=imported_files())

    def _give_up(self, status: int) -> None:
        """End a generation whose workers cannot start at all."""
        if not self._leaving:
            self._master.send(failed="the application did not start in a worker", files=imported_files())
            self._code = START_FAILED if os.waitstatus_to_exitcode(status) == START_FAILED else 1
            self._leave(going_away=True)

    def _leave(self, *, going_away: bool) -> None:
        if self._leaving:
            return
        self._leaving = True
        self._row.cells[Cell.STATE] = State.LEAVING
        for bound in self._sockets:
            bound.close()  # or clients would go on being queued on it, for nobody
        self._crew.leave(going_away=going_away)
