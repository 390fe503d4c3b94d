"""Runs checks: targets side by side; in each, peaceful checks together, then disruptive ones one by one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from stack.matrix.check import Cell, Check, Verdict, judge
from stack.matrix.target import Target

__all__ = ["Progress", "Setting", "run_check", "run_checks", "run_matrix"]

TOGETHER = 6
TIMEOUT_S = 240.0

Progress = Callable[[Cell], None]
Setting = Callable[[str, int], contextlib.AbstractAsyncContextManager[Target]]
"""Makes a target, by its name and the number of replicas."""


async def run_matrix(
    setting: Setting, names: Sequence[str], replicas: int, checks: Sequence[Check], progress: Progress
) -> tuple[list[Cell], list[Target]]:
    """Run checks against targets, side by side; return the cells and the targets, which have measurements.

    Raises what a target's start raises.
    """

    async def one(name: str) -> tuple[list[Cell], Target]:
        async with setting(name, replicas) as target:
            return await run_checks(target, checks, progress), target

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(name)) for name in names]
    results = [task.result() for task in tasks]
    return [cell for cells, _ in results for cell in cells], [target for _, target in results]


async def run_checks(target: Target, checks: Sequence[Check], progress: Progress) -> list[Cell]:
    """Run the checks that are meant for so many replicas against one target."""
    meant = [check for check in checks if target.replicas in check.replicas]
    if target.control is None:
        meant = [check for check in meant if not check.local]
    limit = asyncio.Semaphore(TOGETHER)

    async def one(check: Check) -> Cell:
        async with limit:
            cell = await run_check(check, target)
        progress(cell)
        return cell

    cells = list(await asyncio.gather(*(one(check) for check in meant if not check.disrupts)))
    for check in meant:
        if check.disrupts:
            cells.append(await one(check))
    return cells


async def run_check(check: Check, target: Target) -> Cell:
    """Run one check; whatever goes wrong in it makes it fail."""
    began = time.monotonic()

    def cell(verdict: Verdict, outcome: str, reason: str) -> Cell:
        seconds = round(time.monotonic() - began, 2)
        return Cell(check.name, target.name, target.replicas, verdict, outcome, reason, seconds)

    try:
        async with asyncio.timeout(TIMEOUT_S):
            outcome = await check.run(target)
    except TimeoutError as error:
        return cell("fail", "nothing in time", str(error))
    except Exception as error:  # noqa: BLE001 - a check that fails must not end the others
        return cell("fail", type(error).__name__, " ".join(str(error).split())[:500])
    verdict, reason = judge(check, target.name, outcome)
    return cell(verdict, outcome, reason)
