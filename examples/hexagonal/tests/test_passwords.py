"""Argon2 as it is used: the hashes, and what happens when too many want one."""

from __future__ import annotations

import asyncio
import threading

import pytest
from shop.adapters import passwords
from shop.domain.model import Unavailable


def test_a_password_fits_its_hash_and_no_other_does() -> None:
    async def compare() -> None:
        argon2 = passwords.Argon2()
        first, second = await argon2.hash("correct horse"), await argon2.hash("correct horse")
        assert first != second  # salted
        assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert "correct horse" not in first
        assert await argon2.verify(first, "correct horse")
        assert not await argon2.verify(first, "Correct horse")

    asyncio.run(compare())


def test_hashing_leaves_the_event_loop_alone_and_too_many_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 3)
    go, began = threading.Event(), threading.Semaphore(0)

    class Slow:
        def hash(self, password: str) -> str:
            began.release()
            assert threading.current_thread() is not threading.main_thread()
            assert go.wait(60)
            return f"hash of {password}"

    async def crowd() -> None:
        argon2 = passwords.Argon2()
        argon2.hasher = Slow()  # type: ignore[assignment]
        tasks = [asyncio.create_task(argon2.hash(str(number))) for number in range(5)]
        for _ in range(passwords.AT_ONCE):
            assert await asyncio.to_thread(began.acquire, timeout=60)
        with pytest.raises(Unavailable, match="too many are logging in"):
            await argon2.hash("one too many")
        assert not began.acquire(blocking=False)  # only AT_ONCE have begun
        go.set()
        assert await asyncio.gather(*tasks) == [f"hash of {number}" for number in range(5)]

    asyncio.run(crowd())
