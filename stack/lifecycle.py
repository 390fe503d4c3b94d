"""Starting and stopping the processes of a stack in the right order, and the signals that interrupt it."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from stack.errors import Interrupted, KitError
from stack.logs import tail
from stack.process import describe_exit, start
from stack.service import Service, probe
from stack.state import Record, Run, State

__all__ = ["Signals", "launch", "obituary", "stop", "wait_until_well"]

START_TIMEOUT_S = 60.0
POLL_S = 0.05
PROXY_PATIENCE_S = 5.0  # for open requests, before the application is told to end its streams
STOP_TIMEOUT_S = 40.0  # longer than the application's drain of 30 s
DATABASE_TIMEOUT_S = 30.0
LAST_LINES = 20


@dataclass
class Signals:
    """Counts the signals that ask the kit to stop: the first one stops cleanly, the second one kills."""

    count: int = 0
    numbers: Sequence[int] = field(default=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP))

    def check(self) -> None:
        """Raise Interrupted if we have been asked to stop."""
        if self.count:
            raise Interrupted

    @contextlib.contextmanager
    def caught(self) -> Iterator[Signals]:
        """Count the signals instead of dying from them."""

        def note(_number: int, _frame: FrameType | None) -> None:
            self.count += 1

        # nohup ignores SIGHUP for us: that stays so
        numbers = [
            one for one in self.numbers if one == signal.SIGINT or signal.getsignal(one) != signal.SIG_IGN
        ]
        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def launch(state: State, run: Run, services: Iterable[Service], signals: Signals) -> None:
    """Start services at the same time, and wait until all are well. Raises KitError, Interrupted."""
    began = time.monotonic()
    records = []
    for service in services:
        log = state.logs / f"{service.name}.log"
        process = start(service.argv, env=service.env, log=log, cwd=service.cwd, account=service.account)
        record = Record(
            name=service.name,
            role=service.role,
            url=service.url,
            version=service.version,
            log=str(log),
            process=process,
            probe=list(service.probe),
            stop_signal=service.stop_signal,
            more=dict(service.more),
        )
        run.records.append(record)
        state.save(run)  # at once: should we be killed, `down` finds it
        records.append(record)
    for record in records:
        wait_until_well(record, signals)
        print(
            f"  {record.name:7} {record.version} is ready after {time.monotonic() - began:.1f} s", flush=True
        )


def wait_until_well(record: Record, signals: Signals) -> None:
    """Wait for a process that was just started. Raises KitError with its last words, or Interrupted."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        signals.check()
        if not record.process.alive():
            raise KitError(obituary(record))
        problem = probe(record.probe)
        if not problem and record.process.alive():  # and not somebody else who listens there
            return
        if time.monotonic() > deadline:
            raise KitError(
                f"{record.name} runs, but is not ready after {START_TIMEOUT_S:g} s: {problem}."
                f"{last_lines(record)}"
            )
        time.sleep(POLL_S)


def obituary(record: Record) -> str:
    """Say which process ended, how, and what it wrote last."""
    status = record.process.status()
    how = f": {describe_exit(status)}" if status is not None else ""
    return f"{record.name} ({record.version}, pid {record.process.pid}) has ended{how}.{last_lines(record)}"


def last_lines(record: Record) -> str:
    """Return the end of a process's log, set off from our own words."""
    lines = tail(Path(record.log), LAST_LINES)
    if not lines:
        return f" It wrote nothing to {record.log}"
    return "".join([f" The end of {record.log}:", *(f"\n     | {line}" for line in lines)])


def stop(run: Run, signals: Signals, before: int | None = None) -> None:
    """End all processes: first the proxies, then the application, then the database.

    Each ends what it is doing first; a signal more than `before` (all until now) means at once.
    Raises KitError if a process stays.
    """
    # A signal that made us stop is not yet one that makes us hurry.
    before = signals.count if before is None else before

    def hurry() -> bool:
        return signals.count > before

    database = [one for one in run.records if one.role == "db"]
    application = [one for one in run.records if one.role == "app"]
    proxies = [one for one in run.records if one.role not in ("app", "db")]
    ask(proxies)
    wait(proxies, PROXY_PATIENCE_S, hurry)
    ask(application)
    wait([*proxies, *application], STOP_TIMEOUT_S, hurry)
    kill([*proxies, *application])
    ask(database)
    wait(database, DATABASE_TIMEOUT_S, hurry)
    for one in database:
        one.process.signal(
            signal.SIGQUIT
        )  # PostgreSQL's own way to leave at once: it takes its children with it
    wait(database, 5.0 if database else 0.0, lambda: False)
    kill(database)
    if left := [f"{one.name} (pid {one.process.pid})" for one in run.records if not one.process.gone()]:
        raise KitError(f"cannot end {', '.join(left)}; look at them with: ps -fp PID")


def ask(records: Iterable[Record]) -> None:
    """Send each process the signal that ends it cleanly."""
    for record in records:
        if record.process.signal(signal.Signals[record.stop_signal]):
            print(f"  {record.name:7} is stopping", flush=True)


def wait(records: Sequence[Record], timeout_s: float, hurry: Callable[[], bool]) -> None:
    """Wait until the processes have ended, at most so long, or until `hurry`."""
    deadline = time.monotonic() + timeout_s
    while any(record.process.alive() for record in records) and time.monotonic() < deadline and not hurry():
        time.sleep(POLL_S)


def kill(records: Sequence[Record]) -> None:
    """End what is left of the processes and of what they started."""
    for record in records:
        record.process.kill()
    wait_gone = time.monotonic() + 5.0
    while not all(record.process.gone() for record in records) and time.monotonic() < wait_gone:
        time.sleep(POLL_S)
