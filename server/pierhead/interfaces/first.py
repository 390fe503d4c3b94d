"""Several things at the same time, until one of them has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["until_one_ends"]


async def until_one_ends(*work: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Run all until the first has ended, then cancel the others and wait for them.

    Returns their tasks, in the order given, all done: who was too slow is cancelled. What one of them raised
    is in its task; nothing is logged of what nobody asks for.
    """
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            _ = task.cancelled() or task.exception()  # asked for
    return tasks
