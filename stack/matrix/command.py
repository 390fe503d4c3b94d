"""`./kit matrix` as a whole: what is asked for is run, shown and written down."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from collections.abc import Sequence

from stack.errors import KitError
from stack.matrix.check import Cell, Check
from stack.matrix.checks import CHECKS
from stack.matrix.checks.by_gateway import CHECKS_BY_GATEWAY
from stack.matrix.options import BY_GATEWAY, TARGETS
from stack.matrix.place import missing, running
from stack.matrix.report import PAGE, as_json, page, summary, table, write
from stack.matrix.runner import run_matrix
from stack.matrix.target import Target
from stack.state import State

__all__ = ["main", "result_of"]


def main(state: State, options: argparse.Namespace) -> int:
    """Run the command; returns 0 if every cell is right or differs as documented, else 1. Raises KitError."""
    checks = {name: check for name, check in CHECKS.items() if chosen(name, options.check)}
    if not checks:
        raise KitError(
            f"no check has {' or '.join(options.check)} in its name; ./kit matrix --list shows all"
        )
    if options.list:
        for check in checks.values():
            marks = ["local"] * bool(check.local) + ["two replicas"] * (check.replicas == (2,))
            print(f"{check.name:44} {check.about}" + (f" [{', '.join(marks)}]" if marks else ""))
        return 0
    whole = not options.check and not options.proxy and not options.replicas
    if options.docs and not whole:
        raise KitError("--docs needs the whole matrix: leave out --proxy, --check and --replicas")
    names = options.proxy or (*TARGETS, *BY_GATEWAY)
    skipped = {name: reason for name in names if (reason := missing(name))}
    for name, reason in skipped.items():
        print(f"Without {name}: {reason}", flush=True)
    if options.docs and skipped:
        raise KitError("--docs needs every proxy")
    replicas = options.replicas or [1, 2]
    there = [name for name in names if name not in skipped]
    cells, targets = result_of([name for name in there if name in TARGETS], replicas, list(checks.values()))
    found, used = result_of(
        [name for name in there if name in BY_GATEWAY],
        [1],
        [check for name, check in CHECKS_BY_GATEWAY.items() if name in checks],
    )
    cells += found
    targets += used
    if not cells:
        raise KitError("none of these checks applies to so many replicas, or no proxy is there to be checked")
    result = as_json(cells, CHECKS, targets, skipped)
    print(table(cells, CHECKS))
    print(f"\n{summary(cells, CHECKS, targets)}")
    state.folder.mkdir(parents=True, exist_ok=True)
    path = options.json or state.folder / "matrix.json"
    write(path, result)
    print(f"Everything is in {path}")
    if options.docs:
        PAGE.write_text(page(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
        print(f"{PAGE} is written")
    return int(any(cell.verdict == "fail" for cell in cells))


def result_of(
    names: Sequence[str], replicas: Sequence[int], checks: Sequence[Check]
) -> tuple[list[Cell], list[Target]]:
    """Run the checks with each number of replicas; return what was found out. Raises KitError."""
    if not names or not checks:
        return [], []

    async def everything() -> tuple[list[Cell], list[Target]]:
        cells: list[Cell] = []
        targets: list[Target] = []
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        for ending in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C does: every process is stopped
            loop.add_signal_handler(ending, task.cancel)
        for number in replicas:
            plural = "" if number == 1 else "s"
            print(f"{', '.join(names)} with {number} replica{plural} each ...", flush=True)
            began = time.monotonic()
            found, used = await run_matrix(running, names, number, checks, note)
            cells += found
            targets += used
            print(f"  {len(found)} cells in {time.monotonic() - began:.0f} s", flush=True)
        return cells, targets

    try:
        return asyncio.run(everything())
    except ExceptionGroup as group:
        first = group.exceptions[0]
        raise (KitError(str(first)) if isinstance(first, KitError) else first) from group
    except asyncio.CancelledError as cancelled:
        raise KeyboardInterrupt from cancelled


def note(cell: Cell) -> None:
    """Say at once what fails."""
    if cell.verdict == "fail":
        print(f"  FAIL {cell.target}/{cell.replicas} {cell.check}: {cell.outcome}", flush=True)


def chosen(name: str, words: Sequence[str]) -> bool:
    """Tell whether a check is one of those that were asked for."""
    return not words or any(word in name for word in words)
