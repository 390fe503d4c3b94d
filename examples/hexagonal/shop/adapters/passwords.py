"""Passwords hashed with argon2id, in threads: an event loop that hashes answers nobody meanwhile."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from shop.domain.model import Unavailable

__all__ = ["Argon2"]

AT_ONCE = 2  # each takes a core for some 30 ms and 19 MiB of memory
MAX_WAITING = 50


class Argon2:
    """Argon2id with the parameters that OWASP recommends (m=19 MiB, t=2, p=1); they are in every hash.

    Whoever wants to keep the processors busy only has to log in: at most AT_ONCE passwords are hashed at the
    same time, MAX_WAITING others wait, and further ones are Unavailable at once.
    """

    def __init__(self) -> None:
        self.hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self.turn = asyncio.Semaphore(AT_ONCE)
        self.waiting = 0

    async def hash(self, password: str) -> str:
        """Return a hash, salted."""
        async with self:
            return await asyncio.to_thread(self.hasher.hash, password)

    async def verify(self, password_hash: str, password: str) -> bool:
        """Tell whether this is the password."""
        async with self:
            try:
                return await asyncio.to_thread(self.hasher.verify, password_hash, password)
            except VerifyMismatchError:
                return False

    async def __aenter__(self) -> None:
        if self.waiting >= MAX_WAITING:
            raise Unavailable("too many are logging in")
        self.waiting += 1
        try:
            await self.turn.acquire()
        finally:
            self.waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self.turn.release()
