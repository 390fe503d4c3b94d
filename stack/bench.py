"""Load tests: `./kit bench`, for a stack that runs or is started for it; `peers`, `faults`, without one."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence

from loadtest.subject import Subject
from loadtest.targets import TargetError
from stack.application import application
from stack.commands import ROLES, down, up
from stack.database import query
from stack.errors import KitError
from stack.faults import cause, roll
from stack.state import State
from stack.status import status

__all__ = ["bench", "compare", "faults", "peers", "report"]


def bench(state: State, argv: Sequence[str]) -> int:
    """Run loadtest.bench; returns its exit code. Raises KitError."""
    return int(importlib.import_module("loadtest.bench").main(argv, lambda: running(state)))


@contextlib.contextmanager
def running(state: State) -> Iterator[Subject]:
    """Yield the stack, which is started for the time of the block if it is not up. Raises KitError."""
    run = state.load()
    if run and any(record.process.alive() for record in run.records):
        yield subject_of(state)
        return
    print("The stack is not up; starting it for the benchmark", flush=True)
    if up(state, ROLES, False, {}, detach=True):
        raise KeyboardInterrupt
    try:
        yield subject_of(state)
    finally:
        down(state, delete_data=False)


def subject_of(state: State) -> Subject:
    """Return the stack that runs, as the benchmark sees it. Raises KitError."""
    run = state.load()
    database = next((one.url for one in run.records if one.role == "db"), None) if run else None
    if run is None or database is None:
        return Subject(status(run))

    def sql(script: str) -> str:
        try:
            return query(state, database, script)
        except KitError as error:
            raise TargetError(str(error)) from error

    def renew() -> None:
        try:
            roll(run)
        except KitError as error:
            raise TargetError(str(error)) from error

    return Subject(
        status=status(run),
        sql=sql,
        renew=renew if any(record.role == "app" for record in run.records) else None,
        disturb=lambda fault, role: cause(state, fault, role),
        environment=dict(application(state, 0, 0, database).env),
    )


def peers(argv: Sequence[str]) -> int:
    """Run loadtest.peers; returns its exit code. Raises KitError."""
    return int(importlib.import_module("loadtest.peers.main").main(argv))


def faults(argv: Sequence[str]) -> int:
    """Run loadtest.survival; returns its exit code. Raises KitError."""
    return int(importlib.import_module("loadtest.survival.main").main(argv))


def compare(argv: Sequence[str]) -> int:
    """Compare two reports; returns the exit code of loadtest.compare."""
    return int(importlib.import_module("loadtest.compare").main(argv))


def report(argv: Sequence[str]) -> int:
    """Make a report again; returns the exit code of loadtest.report."""
    return int(importlib.import_module("loadtest.report.command").main(argv))
