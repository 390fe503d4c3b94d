"""The pool of threads: bounded, with the caller's context, and with a word about what is left behind."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from pierhead.interfaces.threads import ThreadPool

LIMIT_S = 60.0


@pytest.fixture
async def pool() -> AsyncIterator[ThreadPool]:
    pool = ThreadPool(2)
    yield pool
    await pool.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - threads set no events of the loop
            await asyncio.sleep(0.001)


class Blocked:
    """A call that says that it began and waits until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        self.began.set()
        assert self.go.wait(LIMIT_S)
        return "done"


async def test_a_call_runs_in_a_named_thread_and_returns(pool: ThreadPool) -> None:
    name = await pool.run(lambda: threading.current_thread().name, "test")
    assert name == "pierhead-1"


async def test_what_it_raises_is_raised(pool: ThreadPool) -> None:
    def fail() -> None:
        raise LookupError("nothing")

    with pytest.raises(LookupError, match="nothing"):
        await pool.run(fail, "fail")


async def test_stop_iteration_does_not_get_lost(pool: ThreadPool) -> None:
    with pytest.raises(RuntimeError, match="test raised StopIteration"):
        await pool.run(lambda: next(iter(())), "test")


async def test_the_context_is_a_copy(pool: ThreadPool) -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")
    user.set("ada")

    def change() -> str:
        before = user.get()
        user.set("eve")
        return before

    assert await pool.run(change, "change") == "ada"
    assert user.get() == "ada"
    seen = await asyncio.create_task(pool.run(user.get, "get"), context=contextvars.Context())
    assert seen == "nobody"


async def test_threads_are_used_again_and_no_more_than_its_size(pool: ThreadPool) -> None:
    for _ in range(20):
        assert await pool.run(lambda: threading.current_thread().name, "test") in {"pierhead-1", "pierhead-2"}
    calls = [Blocked() for _ in range(3)]
    tasks = [asyncio.create_task(pool.run(call, "call")) for call in calls]
    await until(lambda: calls[0].began.is_set() and calls[1].began.is_set())
    assert not calls[2].began.is_set()
    calls[0].go.set()
    await until(calls[2].began.is_set)
    for call in calls:
        call.go.set()
    assert await asyncio.gather(*tasks) == ["done"] * 3


async def test_calls_that_block_get_threads_of_their_own() -> None:
    pool = ThreadPool(10)
    calls = [Blocked() for _ in range(10)]
    tasks = [asyncio.create_task(pool.run(call, "call")) for call in calls]
    await until(lambda: all(call.began.is_set() for call in calls))
    for call in calls:
        call.go.set()
    await asyncio.gather(*tasks)
    await pool.close()


async def test_many_calls_all_return(pool: ThreadPool) -> None:
    results = await asyncio.gather(*(pool.run(lambda n=n: n, "test") for n in range(500)))  # type: ignore[misc]
    assert results == list(range(500))


async def test_a_call_given_up_while_it_waits_is_never_made() -> None:
    pool = ThreadPool(1)
    running, waiting = Blocked(), Blocked()
    first = asyncio.create_task(pool.run(running, "running"))
    await until(running.began.is_set)
    second = asyncio.create_task(pool.run(waiting, "waiting"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    running.go.set()
    assert await first == "done"
    await pool.close()
    assert waiting.calls == 0


async def test_a_call_given_up_while_it_runs_is_logged_until_it_ends(
    pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    call = Blocked()
    task = asyncio.create_task(pool.run(call, "app.report"))
    await until(call.began.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caplog.messages == ["app.report goes on in its thread: its request was given up"]
    call.go.set()
    await until(lambda: len(caplog.messages) == 2)
    assert caplog.messages[1].startswith("app.report ended in its thread after ")
    assert await pool.run(lambda: "again", "test") == "again"


async def test_its_failure_is_logged_when_nobody_waits(
    pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    call = Blocked()

    def fail() -> None:
        call()
        raise LookupError("too late")

    task = asyncio.create_task(pool.run(fail, "app.report"))
    await until(call.began.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    call.go.set()
    await until(lambda: "app.report failed after its request was given up" in caplog.messages)


async def test_closing_waits_for_calls_and_takes_no_more() -> None:
    others = threading.enumerate()
    pool = ThreadPool(1)
    call = Blocked()
    task = asyncio.create_task(pool.run(call, "call"))
    await until(call.began.is_set)
    closing = asyncio.create_task(pool.close(LIMIT_S))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="late cannot be called: the application has stopped"):
        await pool.run(lambda: None, "late")
    call.go.set()
    await closing
    assert await task == "done"
    started = [thread for thread in threading.enumerate() if thread not in others]
    assert not [thread for thread in started if thread.name.startswith("pierhead-")]


async def test_closing_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    pool = ThreadPool(1)
    call = Blocked()
    task = asyncio.create_task(pool.run(call, "call"))
    await until(call.began.is_set)
    with caplog.at_level(logging.ERROR):
        await pool.close(0.01)
    assert caplog.messages == ["threads still in a handler: 1; they end with the process"]
    call.go.set()
    assert await task == "done"


def test_a_call_that_outlives_its_loop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    pool = ThreadPool(1)
    call = Blocked()

    async def leave() -> None:
        task = asyncio.create_task(pool.run(call, "app.report"))
        await until(call.began.is_set)
        task.cancel()

    asyncio.run(leave())
    call.go.set()
    asyncio.run(pool.close(LIMIT_S))
    assert "app.report ended after its event loop had" in caplog.messages


def test_a_pool_without_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="a pool has at least 1 thread, not 0"):
        ThreadPool(0)


def test_threads_do_not_keep_the_process_alive() -> None:
    async def first() -> Any:
        pool = ThreadPool(1)
        return await pool.run(lambda: threading.current_thread().daemon, "test")

    assert asyncio.run(first()) is True
