"""The pool, with a nursery that forks nothing: how many processes there are, and who gets one when."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest

from pierhead.config import Settings
from pierhead.config.isolation import IsolationLimits
from pierhead.isolation.frames import Kind
from pierhead.isolation.link import Link
from pierhead.isolation.nursery import Nursery
from pierhead.isolation.pool import Busy, Pool, PooledProcess, StartError


class FakeNursery:
    """Takes orders; `processes` are the other ends of the links, by tag."""

    def __init__(self) -> None:
        self.processes: dict[int, Link] = {}
        self.killed: list[int] = []

    def order(self, part: int, tag: int) -> Link:
        ours, theirs = socket.socketpair()
        self.processes[tag] = Link(theirs)
        self.processes[tag].send(Kind.READY)
        return Link(ours)

    def kill(self, tag: int, *, ask: bool = False) -> None:
        self.killed.append(tag)


async def until(condition: Callable[[], bool]) -> None:
    """Let others work until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is tested tells nobody of it
            await asyncio.sleep(0.001)


class Rig:
    """A pool and its nursery."""

    def __init__(self, **limits: Any) -> None:
        settings = Settings(**{f"isolation_{name}": value for name, value in limits.items()})
        self.nursery = FakeNursery()
        self.pool = Pool(cast("Nursery", self.nursery), 0, "app", IsolationLimits.of(settings))

    async def settled(self, size: int) -> None:
        """Wait until there are so many processes, all ready."""
        processes = self.pool._processes
        await until(lambda: len(processes) == size and all(one.ready for one in processes.values()))

    async def lease(self) -> PooledProcess:
        return self.pool.lease() or await self.pool.wait_in_line()

    def end(self, tag: int, status: int | None = 0, reason: str = "") -> None:
        link = self.nursery.processes.pop(tag)
        link.close()
        self.pool.ended(tag, status, reason, "")

    async def close(self) -> None:
        """Have every process leave as it is told to."""
        closing = asyncio.ensure_future(self.pool.close())
        while not closing.done():
            for tag in list(self.nursery.processes):
                self.end(tag)
            await asyncio.sleep(0)


async def test_one_spare_is_forked_as_far_as_the_limit_goes() -> None:
    rig = Rig(max_processes=3)
    await rig.pool.start()
    assert rig.pool.size == 1
    leased = []
    for size in (2, 3, 3):
        leased.append(await rig.lease())
        await rig.settled(size)
    assert (rig.pool.busy, len({one.tag for one in leased})) == (3, 3)
    for one in leased:
        rig.pool.release(one)
    await rig.close()


async def test_who_waits_gets_the_first_that_is_free_and_the_line_has_an_end() -> None:
    rig = Rig(max_processes=1, max_queued=2)
    await rig.pool.start()
    first = await rig.lease()
    waiting = [asyncio.ensure_future(rig.pool.wait_in_line()) for _ in range(2)]
    await asyncio.sleep(0)
    assert rig.pool.waiting == 2
    with pytest.raises(Busy):
        await rig.pool.wait_in_line()
    rig.pool.release(first)
    assert await waiting[0] is first
    waiting[1].cancel()
    await asyncio.wait(waiting)
    rig.pool.release(first)
    assert rig.pool.lease() is first
    rig.pool.release(first)
    await rig.close()


async def test_who_waits_in_a_line_goes_on_in_that_of_the_pool_that_takes_over() -> None:
    old, new = Rig(max_processes=1), Rig(max_processes=1)
    await old.pool.start()
    await new.pool.start()
    first, other = await old.lease(), await new.lease()
    waiting = asyncio.ensure_future(old.pool.wait_in_line())
    await asyncio.sleep(0)
    told: list[bool] = []
    old.pool.told.add(lambda: told.append(True))
    old.pool.give_way(new.pool)
    assert told == [True]
    await until(lambda: new.pool.waiting == 1)
    later = asyncio.ensure_future(old.pool.wait_in_line())
    new.pool.release(other)
    assert await waiting is other
    assert other.pool is new.pool
    new.pool.release(other)
    assert await later is other
    new.pool.release(other)
    assert old.pool.lease() is other
    new.pool.release(other)
    old.pool.release(first)
    await old.close()
    await new.close()


async def test_a_wait_has_an_end() -> None:
    rig = Rig(max_processes=1, queue_timeout_s=0.01)
    await rig.pool.start()
    first = await rig.lease()
    with pytest.raises(Busy):
        await rig.pool.wait_in_line()
    assert rig.pool.waiting == 0
    rig.pool.release(first)
    await rig.close()


async def test_a_process_given_to_who_has_left_meanwhile_is_not_lost() -> None:
    rig = Rig(max_processes=1)
    await rig.pool.start()
    first = await rig.lease()
    waiting = asyncio.ensure_future(rig.pool.wait_in_line())
    await asyncio.sleep(0)
    rig.pool.release(first)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert rig.pool.lease() is first
    rig.pool.release(first)
    await rig.close()


async def test_the_surplus_leaves_the_one_that_was_idle_for_longest_first() -> None:
    rig = Rig(max_processes=4, idle_timeout_s=1.0)
    await rig.pool.start()
    leased = []
    for size in (2, 3, 4):
        leased.append(await rig.lease())
        await rig.settled(size)
    for one in leased:
        rig.pool.release(one)
    await until(lambda: sum(one.retired for one in rig.pool._processes.values()) == 3)
    assert not leased[-1].retired
    for one in leased[:-1]:
        frame = await rig.nursery.processes[one.tag].read()
        assert frame is not None
        assert frame.kind is Kind.GONE
    await rig.close()


async def test_one_that_dies_idle_is_replaced_and_one_that_keeps_dying_not_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(max_processes=2)
    await rig.pool.start()
    for number in range(3):
        (tag,) = rig.nursery.processes
        rig.end(tag, signal.SIGKILL)
        assert rig.pool.size == (1 if number < 2 else 0)
        await rig.settled(rig.pool.size)
    assert rig.pool.crashed == 3
    assert "was killed by SIGKILL while it was idle; replacing it" in caplog.text
    assert "next try in 1 s" in caplog.text
    await rig.close()


async def test_what_does_not_start_at_first_fails_the_start_and_later_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    starting = asyncio.ensure_future(rig.pool.start())
    await asyncio.sleep(0)
    (tag,) = rig.nursery.processes
    rig.end(tag, 3 << 8)
    with pytest.raises(StartError, match="exited with code 3"):
        await starting

    rig = Rig(max_processes=2)
    await rig.pool.start()
    with caplog.at_level(logging.ERROR):
        leased = await rig.lease()
        (other,) = set(rig.nursery.processes) - {leased.tag}
        rig.end(other, None, "no memory")
    assert "cannot be forked: no memory; next try in 1 s" in caplog.text
    rig.pool.release(leased)
    await rig.close()


async def test_one_that_does_not_leave_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    await rig.pool.start()
    leased = await rig.lease()
    rig.pool.retire(leased, 0.01)
    rig.pool.retire(leased)  # once is enough
    await until(lambda: leased.tag in rig.nursery.killed)
    rig.pool.release(leased)
    assert leased not in rig.pool._idle
    await rig.close()


async def test_without_a_nursery_nobody_waits_any_more() -> None:
    rig = Rig(max_processes=1)
    await rig.pool.start()
    leased = await rig.lease()
    waiting = asyncio.ensure_future(rig.pool.wait_in_line())
    await asyncio.sleep(0)
    rig.pool.lost()
    with pytest.raises(Busy):
        await waiting
    assert await leased.ended == "cannot be forked: the process that forks is gone"
    assert rig.pool.size == 0
    leased.link.close()
    for link in rig.nursery.processes.values():
        link.close()


def test_limits_are_the_servers_or_the_applications_own() -> None:
    from pierhead.config.apps import AppSettings

    settings = Settings(isolation_max_processes=3, isolation_min_processes=5, isolation_timeout_s=7.0)
    limits = IsolationLimits.of(settings, AppSettings(name="shop", isolation_timeout_s=1.5))
    assert (limits.min_processes, limits.max_processes, limits.timeout_s) == (3, 3, 1.5)
