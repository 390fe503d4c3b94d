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
from typing import Any

from pierhead.board import BLOCKS, BOARD_BYTES, Board, Cell
from pierhead.config import Settings
from pierhead.config.settings import MOST_WORKERS
from pierhead.log import configure
from pierhead.scratch import scratch_file
from pierhead.supervisor import systemd
from pierhead.supervisor.channel import Channel
from pierhead.supervisor.control import Control, ControlError
from pierhead.supervisor.heritage import Heritage, rehearse
from pierhead.supervisor.launch import Generation, launch
from pierhead.supervisor.listeners import BindError, Listener, adopt, bind, listener_url, unlink
from pierhead.supervisor.pidfile import PidFile, PidFileError
from pierhead.supervisor.process import describe_exit, reap
from pierhead.supervisor.reactor import Reactor
from pierhead.supervisor.status import describe_generation
from pierhead.supervisor.vigil import Vigil
from pierhead.supervisor.watch import Watcher

__all__ = ["Master"]

logger = logging.getLogger("pierhead.master")

_STOP = frozenset({signal.SIGTERM, signal.SIGINT})
_RELOAD = frozenset({signal.SIGHUP, signal.SIGUSR1})
_SIGNALS = (*_STOP, *_RELOAD, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD)
_WATCH_S = 0.5
_LOOK_S = 2.0
_KILL_GRACE_S = 6.0
_CANNOT_BIND = 4
_EVENTS = 20


class Master:
    """Keeps one generation serving."""

    def __init__(self, settings: Settings) -> None:
        self._heritage = Heritage.take() or Heritage()
        self._settings = settings
        self._sockets: dict[str, Listener] = {}
        self._generations: list[Generation] = []
        self._count = self._heritage.count
        self._asked_workers = self._heritage.workers
        self._stopping = False
        self._reload_again = False
        self._restart_at = 0.0
        self._restarts = 0
        self._code = 0
        self._events: list[dict[str, Any]] = []
        self._clients: list[Channel] = []
        self._waiting: list[Channel] = []  # clients that asked for a reload
        self._rehearsal: subprocess.Popen[bytes] | None = None
        self._vigil = Vigil(settings, interval_s=_LOOK_S)
        self._watchdog_s = systemd.watchdog_interval_s()
        self._watcher: Watcher | None = None
        self._control: Control | None = None
        self._pid_file: PidFile | None = None

    def run(self) -> int:
        """Serve until a signal ends it; returns the exit code (see `pierhead.supervisor.run`)."""
        settings = self._settings
        configure(settings, "master")
        try:
            self._open(settings)
        except (BindError, PidFileError) as error:
            print(f"pierhead: {error}", file=sys.stderr)
            self._close()
            return _CANNOT_BIND
        if settings.reload:
            self._watcher = Watcher(settings.reload_dirs or (settings.app_dir or ".",))
        self._reactor = Reactor(_SIGNALS)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # held back by who ran here before
        if self._control is not None:
            self._reactor.add(self._control)
        try:
            self._adopt_generations()
            if self._generations:
                logger.info("upgraded; the new program starts generation %d", self._count + 1)
            self._start_generation()
            while self._generations or not self._stopping:
                self._step()
        finally:
            self._reactor.close()
            self._close()
        return self._code

    def _open(self, settings: Settings) -> None:
        """Open what a server has once: listeners, board, pid file, control socket."""
        heritage = self._heritage
        urls = dict.fromkeys(systemd.passed_urls(settings.listen, Settings().listen, os.environ))
        metrics = settings.metrics_listen
        urls.update({metrics: None} if metrics else {})
        # Those that are inherited first: a new one could get a number that is only said to be a socket's.
        for url in sorted(urls, key=lambda url: "fd:" not in url):
            try:
                fd = heritage.listeners.pop(url, None)
                self._sockets[url] = bind(url, settings.backlog) if fd is None else adopt(url, fd)
            except BindError as error:
                if not heritage.generations:
                    raise
                logger.error("%s; going on without it", error)  # noqa: TRY400 - it says all
        for url, fd in heritage.listeners.items():
            adopt(url, fd).close()  # it is not in the settings any more
        if metrics in self._sockets:  # the last one, as workers expect it
            self._sockets[metrics] = self._sockets.pop(metrics)
        self._settings = dataclasses.replace(
            settings,
            listen=tuple(url for url in self._sockets if url != metrics),
            workers=heritage.workers or settings.workers,
        )
        known = heritage.board >= 0 and heritage.board_bytes == BOARD_BYTES
        self._board_fd = heritage.board if known else scratch_file("pierhead-board", BOARD_BYTES)
        self._board = Board(self._board_fd)
        if settings.pid_file:
            self._pid_file = PidFile(settings.pid_file, heritage.pid_file)
        if settings.control_socket:
            try:
                self._control = Control(settings.control_socket)
            except ControlError as error:
                logger.warning("%s; `pierhead status` and `reload` will not find this server", error)

    def _step(self) -> None:
        """Wait for the next event and act on it."""
        signals, channels = self._reactor.wait(self._seconds_to_wait())
        for number in signals:
            self._on_signal(number)
        for channel in channels:
            if channel is self._control:
                self._welcome()
            elif channel in self._clients:
                self._answer(channel)
            else:
                self._hear(channel)
        self._bury()
        self._vigil.look()
        self._enforce_deadlines()
        if self._watchdog_s:
            systemd.notify("WATCHDOG=1")
        if self._watcher is not None and not self._stopping:
            changed = self._watcher.changed()
            if changed is not None:
                self._reload(f"{changed} changed")

    def _seconds_to_wait(self) -> float:
        now = time.monotonic()
        seconds = _WATCH_S if self._watcher is not None else _LOOK_S
        if self._watchdog_s:
            seconds = min(seconds, self._watchdog_s)
        deadlines = [one.deadline for one in self._generations if not one.serves]
        if self._restart_at:
            deadlines.append(self._restart_at)
        return max(0.0, min([now + seconds, *deadlines]) - now)

    def _on_signal(self, number: signal.Signals) -> None:
        if number in _STOP:
            self._stop(number)
        elif number in _RELOAD:
            self._reload(f"on {number.name}")
        elif number == signal.SIGUSR2:
            self._prepare_upgrade()
        elif number == signal.SIGTTIN:
            self._resize(self._settings.workers + 1)
        elif number == signal.SIGTTOU:
            self._resize(self._settings.workers - 1)

    # Generations

    def _start_generation(self) -> None:
        self._restart_at = 0.0
        taken = {generation.block for generation in self._generations}
        # Round robin: workers that outlive a generation which was killed may write to its rows for a while.
        blocks = (1 + (self._count + i) % (BLOCKS - 1) for i in range(BLOCKS - 1))
        block = next((block for block in blocks if block not in taken), 0)
        if not block:
            self._reload_failed(f"{len(taken)} generations are still draining")
            return
        self._count += 1
        fds = [bound.fileno() for bound in self._sockets.values()]
        try:
            generation = launch(self._count, self._settings, fds, self._board, self._board_fd, block)
        except OSError as error:  # no process or no memory left
            logger.error("cannot start generation %d: %s", self._count, error)  # noqa: TRY400 - it says all
            if self._serving is None:
                self._restart_later()
            else:
                self._reload_failed(f"cannot start a process: {error}")
            return
        self._generations.append(generation)
        self._reactor.add(generation.channel)

    @property
    def _serving(self) -> Generation | None:
        return next((generation for generation in self._generations if generation.serves), None)

    def _adopt_generations(self) -> None:
        """Take over the generations of the program that ran here before."""
        for facts in self._heritage.generations:
            generation = Generation.unpack(facts)
            self._generations.append(generation)
            self._reactor.add(generation.channel)

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
                self._note(f"cannot serve {self._settings.app}: {message['failed']}")
                logger.error("cannot serve %s\n%s", self._settings.app, message["failed"])
            elif "crashed" in message:
                self._note(message["crashed"])

    def _switch_to(self, generation: Generation) -> None:
        """Retire the others, now that this one serves."""
        generation.ready = True
        self._restarts = 0
        urls = ", ".join(listener_url(bound) for bound in self._sockets.values())
        what = "ready on" if generation.number == 1 else f"generation {generation.number} serves on"
        message = f"{what} {urls} ({_workers(self._settings.workers)})"
        logger.info("%s", message)
        self._note(message)
        systemd.notify("READY=1", f"STATUS={message}", f"MAINPID={os.getpid()}")
        for other in self._generations:
            if other is not generation and not other.leaving:
                self._retire(other, restart=True)
        self._tell_who_waits(reloaded=generation.number)
        self._reload_if_asked_again()

    def _reload_if_asked_again(self) -> None:
        if self._reload_again:
            self._reload_again = False
            self._reload("asked again meanwhile")

    def _retire(self, generation: Generation, *, restart: bool) -> None:
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
        if any(one.is_starting for one in self._generations):
            self._reload_again = True
            return
        logger.info("reloading: %s", why)
        systemd.notify("RELOADING=1", f"STATUS=reloading: {why}")
        self._start_generation()

    def _reload_failed(self, why: str) -> None:
        logger.error("reload failed; the code from before goes on serving")
        systemd.notify("READY=1", f"STATUS=reload failed: {why.splitlines()[0]}")
        self._tell_who_waits(failed=why)
        self._reload_if_asked_again()

    def _resize(self, workers: int) -> None:
        """Have more workers or fewer, from now on and after reloads."""
        workers = max(1, min(workers, MOST_WORKERS))
        if self._stopping or workers == self._settings.workers:
            return
        self._asked_workers = workers
        self._settings = dataclasses.replace(self._settings, workers=workers)
        logger.info("%s from now on", _workers(workers))
        for generation in self._generations:
            if not generation.leaving:
                generation.channel.send(workers=workers)

    def _stop(self, number: signal.Signals) -> None:
        if self._stopping:
            logger.warning("%s again: stopping at once", number.name)
            self._code = 1
            for generation in self._generations:
                _send(generation, signal.SIGQUIT)
            return
        self._stopping = True
        logger.info("stopping on %s", number.name)
        systemd.notify("STOPPING=1")
        self._close_listeners()
        for generation in self._generations:
            self._retire(generation, restart=False)

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        for generation in self._generations:
            self._kill_if_it_hangs(generation)
            if generation.deadline > now or generation.serves:
                continue
            late = "leave" if generation.leaving else "start"
            logger.error("generation %d does not %s in time; killing it", generation.number, late)
            generation.failed = True
            generation.deadline = now + 5.0
            _send(generation, signal.SIGQUIT if not generation.leaving else signal.SIGKILL)
            generation.leaving = True
        if self._restart_at and now >= self._restart_at and not self._stopping:
            self._start_generation()

    def _kill_if_it_hangs(self, generation: Generation) -> None:
        """End a generation that does not look after its workers any more: another will."""
        row = self._board.row(generation.block, 0)
        known = generation.serves and row.cells[Cell.PID] == generation.pid
        if known and (state := self._vigil.hangs(generation.pid, row)):
            logger.error("generation %d %s; killing it", generation.number, state)
            _send(generation, signal.SIGKILL)

    def _bury(self) -> None:
        """Take note of processes that ended; one that was only adopted is nobody's."""
        for pid, status in reap():
            if self._rehearsal is not None and self._rehearsal.pid == pid:
                self._rehearsal.returncode = os.waitstatus_to_exitcode(status)
                self._upgrade(self._rehearsal.returncode)
                continue
            generation = next((one for one in self._generations if one.pid == pid), None)
            if generation is None:
                continue
            self._hear_last_words(generation)
            self._generations.remove(generation)
            self._take_over_counts(generation)
            self._reactor.remove(generation.channel)
            generation.buried(status)
            if not generation.leaving or generation.failed:
                self._lost(generation, status)

    def _take_over_counts(self, generation: Generation) -> None:
        """Keep what a generation counted: the board's first row is for those that are gone."""
        total = self._board.row(0, 0)
        total.cells[Cell.VERSION] += 1
        for _, row in list(self._board.rows(generation.block)):
            total.add_totals(row)
            row.clear()
        total.cells[Cell.VERSION] += 1

    def _hear_last_words(self, generation: Generation) -> None:
        with contextlib.suppress(OSError):
            os.set_blocking(generation.channel.fileno(), False)
            self._hear(generation.channel)

    def _lost(self, generation: Generation, status: int) -> None:
        """Go on after a generation that failed to start, or died."""
        if not generation.failed:
            what = f"generation {generation.number} {describe_exit(status)}"
            self._note(what)
            logger.error("%s", what)
        if self._stopping:
            return
        if self._serving is not None:
            if not generation.ready:
                self._reload_failed("the new code did not start; the log says why")
            return
        if generation.ready:
            self._restart_later()
        elif self._watcher is not None:
            logger.info("waiting for a file to change")
        else:
            self._code = os.waitstatus_to_exitcode(status)
            self._code = self._code if self._code > 0 else 1
            self._stopping = True

    def _restart_later(self) -> None:
        self._restarts += 1
        seconds = min(0.1 * 2.0**self._restarts, 30.0) if self._restarts > 1 else 0.0
        self._restart_at = time.monotonic() + seconds

    # The program itself

    def _prepare_upgrade(self) -> None:
        """Begin to take up a new version of the server and of its settings, in this process."""
        if self._stopping or self._rehearsal is not None:
            return
        logger.info("upgrading: the new program is tried first")
        try:
            self._rehearsal = rehearse()
        except OSError as error:
            logger.error("upgrade failed: %s", error)  # noqa: TRY400 - it says all

    def _upgrade(self, code: int) -> None:
        """Put the new program in this one's place, if it can read its settings."""
        self._rehearsal = None
        if self._stopping:
            return
        if code:
            logger.error("upgrade failed: the new program ended with code %d; this one goes on", code)
            return
        for generation in self._generations:
            if generation.is_starting:  # the new program starts one of its own
                self._retire(generation, restart=True)
        if self._control is not None:
            self._control.close()
        heritage = Heritage(
            listeners={url: bound.fileno() for url, bound in self._sockets.items()},
            generations=[one.pack() for one in self._generations],
            board=self._board_fd,
            pid_file=self._pid_file.fileno() if self._pid_file is not None else -1,
            count=self._count,
            workers=self._asked_workers,
        )
        systemd.notify("RELOADING=1", "STATUS=upgrading")
        try:
            heritage.hand_on(_SIGNALS)
        except OSError as error:
            logger.error("upgrade failed: %s; this program goes on", error)  # noqa: TRY400 - it says all

    # Who asks

    def _welcome(self) -> None:
        assert self._control is not None
        client = self._control.accept()
        if client is not None:
            self._clients.append(client)
            self._reactor.add(client)

    def _answer(self, client: Channel) -> None:
        requests = client.receive()
        if requests is None:
            self._dismiss(client)
            return
        for request in requests:
            match request.get("command"):
                case "status":
                    client.send(**self._status())
                case "reload":
                    self._reload("on request")
                    self._waiting.append(client)
                case other:
                    client.send(failed=f"there is no command {other!r}")

    def _tell_who_waits(self, **answer: Any) -> None:
        for client in self._waiting:
            client.send(**answer)
        self._waiting.clear()

    def _dismiss(self, client: Channel) -> None:
        self._reactor.remove(client)
        self._clients.remove(client)
        if client in self._waiting:
            self._waiting.remove(client)
        client.close()

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "app": self._settings.app,
            "listen": [listener_url(bound) for bound in self._sockets.values()],
            "workers": self._settings.workers,
            "state": "stopping" if self._stopping else "serving" if self._serving else "starting",
            "generations": [describe_generation(self._board, one) for one in self._generations],
            "events": self._events,
        }

    def _note(self, what: str) -> None:
        """Remember what happened, for who asks."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._events = [*self._events[1 - _EVENTS :], {"time": now, "what": what.splitlines()[0]}]

    # The end

    def _close_listeners(self) -> None:
        while self._sockets:
            _, bound = self._sockets.popitem()
            unlink(bound)
            bound.close()

    def _close(self) -> None:
        self._close_listeners()
        if self._control is not None:
            self._control.close()
        if self._pid_file is not None:
            self._pid_file.remove()


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _send(generation: Generation, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(generation.pid, number)
