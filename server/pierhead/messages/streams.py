"""Iterables whose items take time, iterated in a thread so that the event loop does not wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import TypeVar

__all__ = ["iterate_in_thread"]

_T = TypeVar("_T")
_END = object()


async def iterate_in_thread(iterable: Iterable[_T]) -> AsyncGenerator[_T, None]:
    """Yield what `iterable` yields, each step taken in a thread (lists and tuples need none).

    An iterator that has a `close` method is closed in the end, after the step it may still be in: a
    generator's `finally` has run when this one is closed.
    """
    if isinstance(iterable, list | tuple):
        for item in iterable:
            yield item
        return
    iterator = iter(iterable)
    step: asyncio.Future[_T | object] | None = None
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(next, iterator, _END))
            item = await asyncio.shield(step)
            if item is _END:
                return
            yield item
    finally:
        if step is not None and not step.done():
            await asyncio.wait([step])
            step.exception()  # nobody is left to see it
        if hasattr(iterator, "close"):
            await asyncio.to_thread(iterator.close)
