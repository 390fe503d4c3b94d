"""The master: binds the listeners, starts generations, acts on signals; never imports the application."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pierhead
from pierhead.board import BLOCKS, BOARD_BYTES, Board, Cell, State
from pierhead.config import Settings
from pierhead.log import configure
from pierhead.scratch import scratch_file
from pierhead.supervisor.channel import Channel
from pierhead.supervisor.listeners import BindError, Listener, bind, listener_url, unlink
from pierhead.supervisor.pidfile import PidFile, PidFileError
from pierhead.supervisor.process import describe_exit, reap
from pierhead.supervisor.reactor import Reactor
from pierhead.supervisor.vigil import Vigil
from pierhead.supervisor.watch import Watcher

__all__ = ["Master"]

logger = logging.getLogger("pierhead.master")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
_STOP = frozenset({signal.SIGTERM, signal.SIGINT})
_RELOAD = frozenset({signal.SIGHUP, signal.SIGUSR1})
_WATCH_S = 0.5
_LOOK_S = 2.0
_KILL_GRACE_S = 6.0
_CANNOT_BIND = 4

# The directory of the package is appended, so that the fresh process finds it however this one did, and
# nothing in it hides a module of the standard library.
_START = (
    "import sys; sys.path.append(sys.argv[1]); from pierhead.supervisor.generation import main;"
    " sys.exit(main(int(sys.argv[2])))"
)


@dataclasses.dataclass
class _Generation:
    """A generation as the master sees it."""

    number: int
    process: subprocess.Popen[bytes]
    channel: Channel
    deadline: float
    """When it must be ready; then, once it leaves, when it must be gone."""
    block: int
    """Of the board: its rows and its workers'."""
    ready: bool = False
    leaving: bool = False
    failed: bool = False


class Master:
    """Keeps one generation serving."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sockets: list[Listener] = []
        self._board_fd = scratch_file("pierhead-board", BOARD_BYTES)
        self._board = Board(self._board_fd)
        self._generations: list[_Generation] = []
        self._count = 0
        self._stopping = False
        self._reload_again = False
        self._restart_at = 0.0
        self._restarts = 0
        self._code = 0
        self._vigil = Vigil(settings, interval_s=_LOOK_S)
        self._watcher: Watcher | None = None
        self._pid_file: PidFile | None = None

    def run(self) -> int:
        """Serve until a signal ends it; returns the exit code (see `pierhead.supervisor.run`)."""
        settings = self._settings
        configure(settings, "master")
        try:
            for url in settings.listen:
                self._sockets.append(bind(url, settings.backlog))
            if settings.pid_file:
                self._pid_file = PidFile(settings.pid_file)
        except (BindError, PidFileError) as error:
            print(f"pierhead: {error}", file=sys.stderr)
            self._close()
            return _CANNOT_BIND
        if settings.reload:
            self._watcher = Watcher(settings.reload_dirs or (settings.app_dir or ".",))
        self._reactor = Reactor(_SIGNALS)
        try:
            self._start_generation()
            while self._generations or not self._stopping:
                self._step()
        finally:
            self._reactor.close()
            self._close()
        return self._code

    def _step(self) -> None:
        """Wait for the next event and act on it."""
        signals, channels = self._reactor.wait(self._seconds_to_wait())
        for number in signals:
            if number in _STOP:
                self._stop(number)
            elif number in _RELOAD:
                self._reload(f"on {number.name}")
        for channel in channels:
            self._hear(channel)
        self._bury()
        self._vigil.look()
        self._enforce_deadlines()
        if self._watcher is not None and not self._stopping:
            changed = self._watcher.changed()
            if changed is not None:
                self._reload(f"{changed} changed")

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        seconds = _WATCH_S if self._watcher is not None else _LOOK_S
        deadlines = [generation.deadline for generation in self._generations if not generation.ready]
        deadlines += [generation.deadline for generation in self._generations if generation.leaving]
        if self._restart_at:
            deadlines.append(self._restart_at)
        return max(0.0, min([now + seconds, *deadlines]) - now)

    # Generations

    def _start_generation(self) -> None:
        self._restart_at = 0.0
        taken = {generation.block for generation in self._generations}
        # Round robin: workers that outlive a generation which was killed may write to its rows for a while.
        blocks = (1 + (self._count + i) % (BLOCKS - 1) for i in range(BLOCKS - 1))
        block = next((block for block in blocks if block not in taken), 0)
        if not block:
            logger.error("cannot reload: %d generations are still draining", len(taken))
            return
        self._count += 1
        ours, theirs = Channel.pair()
        fds = [bound.fileno() for bound in self._sockets]
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                _START,
                str(Path(pierhead.__file__).parent.parent),
                str(theirs.fileno()),
            ],
            pass_fds=[*fds, self._board_fd, theirs.fileno()],
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C in a terminal reaches the master alone
        )
        theirs.close()
        cells = self._board.row(block, 0).cells
        cells[Cell.PID] = process.pid
        cells[Cell.BORN_NS] = cells[Cell.BEAT_NS] = time.monotonic_ns()
        cells[Cell.STATE] = State.STARTING
        ours.send(
            settings=dataclasses.asdict(self._settings), listeners=fds, board=self._board_fd, block=block
        )
        deadline = time.monotonic() + (self._settings.start_timeout_s or 1e9) + 5.0
        self._generations.append(_Generation(self._count, process, ours, deadline, block))
        self._reactor.add(ours)

    def _hear(self, channel: Channel) -> None:
        generation = next((one for one in self._generations if one.channel is channel), None)
        messages = channel.receive()
        if messages is None or generation is None:
            self._reactor.remove(channel)
            return
        for message in messages:
            if self._watcher is not None and message.get("files"):
                self._watcher.watch(message["files"])
            if message.get("ready"):
                self._switch_to(generation)
            elif "failed" in message:
                generation.failed = True
                logger.error("cannot serve %s\n%s", self._settings.app, message["failed"])

    def _switch_to(self, generation: _Generation) -> None:
        """Retire the others, now that this one serves."""
        generation.ready = True
        self._restarts = 0
        urls = ", ".join(listener_url(bound) for bound in self._sockets)
        workers = "1 worker" if self._settings.workers == 1 else f"{self._settings.workers} workers"
        what = "ready on" if generation.number == 1 else f"generation {generation.number} serves on"
        logger.info("%s %s (%s)", what, urls, workers)
        for other in self._generations:
            if other is not generation and not other.leaving:
                self._retire(other, restart=True)
        self._reload_if_asked_again()

    def _reload_if_asked_again(self) -> None:
        if self._reload_again:
            self._reload_again = False
            self._reload("asked again meanwhile")

    def _retire(self, generation: _Generation, *, restart: bool) -> None:
        generation.leaving = True
        if generation.ready:
            generation.deadline = time.monotonic() + self._settings.drain_timeout_s + _KILL_GRACE_S
            generation.channel.send(retire=restart)
        else:  # it may not listen yet: an import takes as long as it takes
            generation.deadline = time.monotonic() + _KILL_GRACE_S
            _send(generation, signal.SIGTERM)

    def _reload(self, why: str) -> None:
        """Start a new generation; the one that serves goes on until that is ready."""
        if self._stopping:
            return
        if any(not one.ready and not one.leaving for one in self._generations):
            self._reload_again = True
            return
        logger.info("reloading: %s", why)
        self._start_generation()

    def _stop(self, number: signal.Signals) -> None:
        if self._stopping:
            logger.warning("%s again: stopping at once", number.name)
            self._code = 1
            for generation in self._generations:
                _send(generation, signal.SIGQUIT)
            return
        self._stopping = True
        logger.info("stopping on %s", number.name)
        self._close_listeners()
        for generation in self._generations:
            self._retire(generation, restart=False)

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        for generation in self._generations:
            self._kill_if_it_hangs(generation)
            if generation.deadline > now or (generation.ready and not generation.leaving):
                continue
            late = "leave" if generation.leaving else "start"
            logger.error("generation %d does not %s in time; killing it", generation.number, late)
            generation.failed = True
            generation.deadline = now + 5.0
            _send(generation, signal.SIGQUIT if not generation.leaving else signal.SIGKILL)
            generation.leaving = True
        if self._restart_at and now >= self._restart_at and not self._stopping:
            self._start_generation()

    def _kill_if_it_hangs(self, generation: _Generation) -> None:
        """End a generation that does not look after its workers any more: another will."""
        row = self._board.row(generation.block, 0)
        if generation.ready and not generation.leaving:
            pid = generation.process.pid
            if state := self._vigil.hangs(pid, row):
                logger.error("generation %d %s; killing it", generation.number, state)
                _send(generation, signal.SIGKILL)

    def _bury(self) -> None:
        """Take note of generations that ended; a process that was only adopted is none of them."""
        for pid, status in reap():
            generation = next((one for one in self._generations if one.process.pid == pid), None)
            if generation is None:
                continue
            self._hear_last_words(generation)
            generation.process.returncode = os.waitstatus_to_exitcode(status)
            self._generations.remove(generation)
            self._take_over_counts(generation)
            self._reactor.remove(generation.channel)
            generation.channel.close()
            if not generation.leaving or generation.failed:
                self._lost(generation, status)

    def _take_over_counts(self, generation: _Generation) -> None:
        """Keep what a generation counted: the board's first row is for those that are gone."""
        total = self._board.row(0, 0)
        total.cells[Cell.VERSION] += 1
        for _, row in list(self._board.rows(generation.block)):
            total.add_totals(row)
            row.clear()
        total.cells[Cell.VERSION] += 1

    def _hear_last_words(self, generation: _Generation) -> None:
        with contextlib.suppress(OSError):
            os.set_blocking(generation.channel.fileno(), False)
            self._hear(generation.channel)

    def _lost(self, generation: _Generation, status: int) -> None:
        """Go on after a generation that failed to start, or died."""
        if not generation.failed:
            logger.error("generation %d %s", generation.number, describe_exit(status))
        if self._stopping:
            return
        if any(one.ready and not one.leaving for one in self._generations):
            if not generation.ready:
                logger.error("reload failed; the code from before goes on serving")
                self._reload_if_asked_again()
            return
        if generation.ready:
            self._restarts += 1
            seconds = min(0.1 * 2.0**self._restarts, 30.0) if self._restarts > 1 else 0.0
            self._restart_at = time.monotonic() + seconds
        elif self._watcher is not None:
            logger.info("waiting for a file to change")
        else:
            self._code = os.waitstatus_to_exitcode(status)
            self._code = self._code if self._code > 0 else 1
            self._stopping = True

    def _close_listeners(self) -> None:
        while self._sockets:
            bound = self._sockets.pop()
            unlink(bound)
            bound.close()

    def _close(self) -> None:
        self._close_listeners()
        if self._pid_file is not None:
            self._pid_file.remove()


def _send(generation: _Generation, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(generation.process.pid, number)
