"""Several things at the same time: the first that ends decides, and the others are ended."""

from __future__ import annotations

import asyncio

import pytest

from pierhead.interfaces.first import until_one_ends


async def at_once(value: str) -> str:
    return value


async def failing() -> None:
    raise OSError("broken")


async def for_ever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)  # tidying up takes a turn of the loop
        ended.append("tidied up")


async def test_who_is_too_slow_is_cancelled_and_waited_for() -> None:
    ended: list[str] = []
    slow, quick = await until_one_ends(for_ever(ended), at_once("done"))
    assert slow.cancelled()
    assert ended == ["tidied up"]
    assert quick.result() == "done"


async def test_what_one_raises_is_in_its_task() -> None:
    failed, slow = await until_one_ends(failing(), for_ever([]))
    with pytest.raises(OSError, match="broken"):
        failed.result()
    assert slow.cancelled()


async def test_who_is_cancelled_cancels_all() -> None:
    ended: list[str] = []
    both = asyncio.ensure_future(until_one_ends(for_ever(ended), for_ever(ended)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # both have begun
    both.cancel()
    with pytest.raises(asyncio.CancelledError):
        await both
    assert ended == ["tidied up", "tidied up"]
