"""The master: binds the listeners, starts generations, acts on signals; never imports the application."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import sys
import time
from typing import Any

from pierhead.board import BLOCKS, Cell
from pierhead.config import Settings
from pierhead.config.settings import MOST_WORKERS
from pierhead.log import configure, facts
from pierhead.supervisor import systemd
from pierhead.supervisor.channel import Channel
from pierhead.supervisor.heritage import Heritage
from pierhead.supervisor.holdings import Holdings
from pierhead.supervisor.launch import Generation, launch
from pierhead.supervisor.listeners import BindError
from pierhead.supervisor.pidfile import PidFileError
from pierhead.supervisor.process import describe_exit, exit_facts, reap
from pierhead.supervisor.reactor import Reactor
from pierhead.supervisor.reception import Reception
from pierhead.supervisor.status import describe_generation
from pierhead.supervisor.upgrade import Upgrade
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
        self._generations: list[Generation] = []
        self._count = self._heritage.count
        self._asked_workers = self._heritage.workers
        self._stopping = False
        self._reload_again = False
        self._restart_at = 0.0
        self._restarts = 0
        self._code = 0
        self._events: list[dict[str, Any]] = []
        self._upgrade = Upgrade()
        self._vigil = Vigil(settings, interval_s=_LOOK_S)
        self._watchdog_s = systemd.watchdog_interval_s()
        self._watcher: Watcher | None = None
        self._reception: Reception | None = None

    def run(self) -> int:
        """Serve until a signal ends it; returns the exit code (see `pierhead.supervisor.run`).

        Raises ConfigError for a `user` or `group` that cannot be.
        """
        settings = self._settings
        configure(settings, "master")
        try:
            self._holdings = holdings = Holdings(settings, self._heritage)
        except (BindError, PidFileError) as error:
            print(f"pierhead: {error}", file=sys.stderr)
            return _CANNOT_BIND
        self._settings = dataclasses.replace(
            settings,
            listen=holdings.served,
            workers=self._asked_workers or settings.workers,
            control_socket=str(holdings.control.path) if holdings.control is not None else "",
        )
        self._board = holdings.board
        if settings.reload:
            self._watcher = Watcher(settings.reload_dirs or (settings.app_dir or ".",))
        self._reactor = Reactor(_SIGNALS)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # held back by who ran here before
        if holdings.control is not None:
            self._reception = Reception(
                holdings.control,
                self._reactor,
                self._status,
                lambda: self._reload("on request"),
                self._reload_app,
            )
        try:
            self._adopt_generations()
            if self._generations:
                logger.info(
                    "upgraded; the new program starts generation %d",
                    self._count + 1,
                    extra=facts("upgraded", generation=self._count + 1),
                )
            self._start_generation()
            while self._generations or not self._stopping:
                self._step()
        finally:
            self._reactor.close()
            holdings.close()
        return self._code

    def _step(self) -> None:
        """Wait for the next event and act on it."""
        signals, channels = self._reactor.wait(self._seconds_to_wait())
        for number in signals:
            self._on_signal(number)
        for channel in channels:
            if self._reception is None or not self._reception.hear(channel):
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
            if not self._stopping:
                self._upgrade.prepare()
        elif number == signal.SIGTTIN:
            self._resize(self._settings.workers + 1)
        elif number == signal.SIGTTOU:
            self._resize(self._settings.workers - 1)

    # Generations

    def _start_generation(self) -> str:
        """Start a generation; returns why there is none, "" where there is."""
        self._restart_at = 0.0
        taken = {generation.block for generation in self._generations}
        # Round robin: workers that outlive a generation which was killed may write to its rows for a while.
        blocks = (1 + (self._count + i) % (BLOCKS - 1) for i in range(BLOCKS - 1))
        block = next((block for block in blocks if block not in taken), 0)
        self._count += 1
        if not block:
            return self._not_started(f"{len(taken)} generations are still draining")
        try:
            generation = launch(self._count, self._settings, self._holdings, block)
        except OSError as error:  # no process or no memory left
            return self._not_started(f"cannot start a process: {error}")
        self._generations.append(generation)
        self._reactor.add(generation.channel)
        return ""

    def _not_started(self, why: str) -> str:
        logger.error(
            "cannot start generation %d: %s",
            self._count,
            why,
            extra=facts("generation_not_started", generation=self._count, reason=why),
        )
        if self._serving is None:
            self._restart_later()
        else:
            self._reload_failed(why, self._count)
        return why

    @property
    def _serving(self) -> Generation | None:
        return next((generation for generation in self._generations if generation.serves), None)

    def _adopt_generations(self) -> None:
        """Take over the generations of the program that ran here before."""
        for packed in self._heritage.generations:
            generation = Generation.unpack(packed)
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
            elif "app_reloaded" in message:
                self._app_reloaded(generation, message)
            elif "failed" in message:
                generation.failed = True
                generation.why = message["failed"].rstrip().rpartition("\n")[2]
                self._note(f"cannot serve {self._settings.app}: {message['failed']}")
                logger.error(
                    "cannot serve %s\n%s",
                    self._settings.app,
                    message["failed"],
                    extra=facts("app_failed", generation=generation.number, reason=generation.why),
                )
            elif "crashed" in message:
                self._note(message["crashed"])

    def _switch_to(self, generation: Generation) -> None:
        """Retire the others, now that this one serves."""
        if generation.leaving:  # it was ready just as it was told to leave
            return
        generation.ready = True
        self._restarts = 0
        urls, workers = self._holdings.urls, self._settings.workers
        what = "ready on" if generation.number == 1 else f"generation {generation.number} serves on"
        message = f"{what} {', '.join(urls)} ({_workers(workers)})"
        logger.info(
            "%s", message, extra=facts("ready", generation=generation.number, listen=urls, workers=workers)
        )
        self._note(message)
        systemd.notify("READY=1", f"STATUS={message}", f"MAINPID={os.getpid()}")
        for other in self._generations:
            if other is not generation and not other.leaving:
                self._retire(other, restart=True)
        self._tell_who_waits(generation.number, reloaded=generation.number)
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

    def _reload(self, why: str) -> int | str:
        """Start a new generation; the one that serves goes on until that is ready.

        Returns the number of the generation that will have the code as it is now, or why there is none.
        """
        if self._stopping:
            return "the server is stopping"
        if any(one.is_starting for one in self._generations):
            self._reload_again = True
            return self._count + 1
        logger.info("reloading: %s", why, extra=facts("reload", reason=why, generation=self._count + 1))
        systemd.notify("RELOADING=1", f"STATUS=reloading: {why}")
        return self._start_generation() or self._count

    def _reload_failed(self, why: str, number: int) -> None:
        logger.error(
            "reload failed; the code from before goes on serving",
            extra=facts("reload_failed", generation=number, reason=why),
        )
        systemd.notify("READY=1", f"STATUS=reload failed: {why.splitlines()[0]}")
        self._tell_who_waits(number, failed=f"{why}; the code from before goes on serving")
        self._reload_if_asked_again()

    def _reload_app(self, name: str, ticket: int) -> str:
        """Have the generation that serves reload one application; returns why it is not asked to, or ""."""
        if self._stopping:
            return "the server is stopping"
        generation = self._serving
        if generation is None or any(one.is_starting for one in self._generations):
            return "the server starts, or reloads as a whole: ask again when that is done"
        generation.asked.append(ticket)
        generation.channel.send(reload_app=name, ticket=ticket)
        return ""

    def _app_reloaded(self, generation: Generation, message: dict[str, Any]) -> None:
        name, failed = message["app_reloaded"], message["failed"]
        self._note(f"{name} was not reloaded: {failed}" if failed else f"{name} was reloaded")
        generation.asked.remove(message["ticket"])
        if self._reception is not None:
            answer = {"failed": failed} if failed else {"workers": message["workers"]}
            self._reception.answer(message["ticket"], **answer)

    def _resize(self, workers: int) -> None:
        """Have more workers or fewer, from now on and after reloads."""
        workers = max(1, min(workers, MOST_WORKERS))
        if self._stopping or workers == self._settings.workers:
            return
        self._asked_workers = workers
        self._settings = dataclasses.replace(self._settings, workers=workers)
        logger.info("%s from now on", _workers(workers), extra=facts("resized", workers=workers))
        for generation in self._generations:
            if not generation.leaving:
                generation.channel.send(workers=workers)

    def _stop(self, number: signal.Signals) -> None:
        if self._stopping:
            logger.warning(
                "%s again: stopping at once", number.name, extra=facts("stopping_at_once", signal=number.name)
            )
            self._code = 1
            for generation in self._generations:
                _send(generation, signal.SIGQUIT)
            return
        self._stopping = True
        logger.info("stopping on %s", number.name, extra=facts("stopping", signal=number.name))
        systemd.notify("STOPPING=1")
        self._holdings.close_listeners()
        self._tell_who_waits(self._count + 1, failed="the server is stopping")
        for generation in self._generations:
            self._retire(generation, restart=False)

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        for generation in self._generations:
            self._kill_if_it_hangs(generation)
            if generation.deadline > now or generation.serves:
                continue
            self._condemn(generation, f"does not {'leave' if generation.leaving else 'start'} in time")
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
            self._condemn(generation, state)
            _send(generation, signal.SIGKILL)

    def _condemn(self, generation: Generation, why: str) -> None:
        """Say why a generation is killed."""
        generation.why = f"generation {generation.number} {why}"
        logger.error(
            "%s; killing it",
            generation.why,
            extra=facts("generation_killed", generation=generation.number, reason=why),
        )

    def _bury(self) -> None:
        """Take note of processes that ended; one that was only adopted is nobody's."""
        for pid, status in reap():
            if self._upgrade.is_rehearsal(pid):
                if self._upgrade.rehearsed(status) and not self._stopping:
                    self._carry_upgrade_out()
                continue
            generation = next((one for one in self._generations if one.pid == pid), None)
            if generation is None:
                continue
            self._hear_last_words(generation)
            self._generations.remove(generation)
            self._take_over_counts(generation)
            self._reactor.remove(generation.channel)
            generation.buried(status)
            if self._reception is not None:
                for ticket in generation.asked:
                    self._reception.answer(ticket, failed=f"generation {generation.number} ended meanwhile")
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
            generation.why = f"generation {generation.number} {describe_exit(status)}"
            self._note(generation.why)
            logger.error(
                "%s",
                generation.why,
                extra=facts("generation_died", generation=generation.number, **exit_facts(status)),
            )
        if self._stopping:
            return
        why = f"the new code did not start ({generation.why or 'the log says why'})"
        if self._serving is not None:
            if not generation.ready:
                self._reload_failed(why, generation.number)
            return
        self._tell_who_waits(generation.number, failed=why)
        if generation.ready:
            self._restart_later()
        elif self._reload_again:  # a file has changed while the code from before it was imported
            self._reload_if_asked_again()
        elif any(one.is_starting for one in self._generations):
            pass  # another one was started meanwhile, as the one that served had died
        elif self._watcher is not None:
            logger.info("waiting for a file to change", extra=facts("waiting_for_change"))
        else:
            self._code = os.waitstatus_to_exitcode(status)
            self._code = self._code if self._code > 0 else 1
            self._stopping = True

    def _restart_later(self) -> None:
        self._restarts += 1
        seconds = min(0.1 * 2.0**self._restarts, 30.0) if self._restarts > 1 else 0.0
        self._restart_at = time.monotonic() + seconds

    def _carry_upgrade_out(self) -> None:
        """Hand everything to the new program, which starts a generation of its own."""
        for generation in self._generations:
            if generation.is_starting:
                self._retire(generation, restart=True)
        packed = [one.pack() for one in self._generations]
        heritage = Heritage(generations=packed, count=self._count, workers=self._asked_workers)
        self._upgrade.carry_out(self._holdings.pack(heritage), _SIGNALS)

    # Who asks

    def _tell_who_waits(self, number: int, **answer: Any) -> None:
        if self._reception is not None:
            self._reception.tell(number, **answer)

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "app": self._settings.app,
            "listen": self._holdings.urls,
            "workers": self._settings.workers,
            "state": "stopping" if self._stopping else "serving" if self._serving else "starting",
            "generations": [describe_generation(self._board, one) for one in self._generations],
            "events": self._events,
        }

    def _note(self, what: str) -> None:
        """Remember what happened, for who asks."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._events = [*self._events[1 - _EVENTS :], {"time": now, "what": what.splitlines()[0]}]


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _send(generation: Generation, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(generation.pid, number)
