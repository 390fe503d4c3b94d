"""Iterables are iterated in a thread, and always closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from pierhead.messages.streams import iterate_in_thread


async def test_each_step_is_taken_in_a_thread() -> None:
    def steps() -> Iterator[str]:
        for _ in range(3):
            yield threading.current_thread().name

    names = [name async for name in iterate_in_thread(steps())]
    assert len(names) == 3
    assert threading.current_thread().name not in names


async def test_lists_need_no_thread() -> None:
    assert [item async for item in iterate_in_thread([b"a", b"b"])] == [b"a", b"b"]


async def test_iterators_that_cannot_be_closed() -> None:
    assert [item async for item in iterate_in_thread({b"a": 1})] == [b"a"]


async def test_errors_pass() -> None:
    def fail() -> Iterator[bytes]:
        yield b"a"
        raise OSError("disk")

    stream = iterate_in_thread(fail())
    assert await anext(stream) == b"a"
    with pytest.raises(OSError, match="disk"):
        await anext(stream)


async def test_a_generator_left_early_is_closed() -> None:
    closed = threading.Event()

    def steps() -> Iterator[bytes]:
        try:
            while True:
                yield b"a"
        finally:
            closed.set()

    stream = iterate_in_thread(steps())
    await anext(stream)
    await stream.aclose()
    assert closed.is_set()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_generator_cancelled_in_a_step_is_closed_after_it(fails: bool) -> None:
    inside, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def steps() -> Iterator[bytes]:
        try:
            inside.set()
            go_on.wait(10)
            if fails:
                raise OSError("disk")
            yield b"a"
        finally:
            closed.set()

    stream = iterate_in_thread(steps())
    task = asyncio.ensure_future(anext(stream))
    await asyncio.to_thread(inside.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    assert not closed.is_set()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()
