"""The shop under test: in memory for speed, and on the PostgreSQL of TEST_DATABASE_URL if there is one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

FOLDER = Path(__file__).parents[1]
if str(FOLDER) not in sys.path:
    sys.path.append(str(FOLDER))

from shop.adapters import memory, postgres  # noqa: E402 - found where the line above says
from shop.domain.service import Shop  # noqa: E402


class Plain:
    """The port Passwords without any hashing: tests need not wait for argon2."""

    async def hash(self, password: str) -> str:
        return f"$argon2id$hash of {password}"

    async def verify(self, password_hash: str, password: str) -> bool:
        return password_hash == f"$argon2id$hash of {password}"


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.time

    def forward(self, by: timedelta) -> None:
        self.time += by


@asynccontextmanager
async def in_memory(clock: Clock) -> AsyncIterator[Shop]:
    users = memory.Users()
    yield Shop(users, memory.Products(), memory.Sessions(users), Plain(), clock)


@asynccontextmanager
async def on_postgres(clock: Clock) -> AsyncIterator[Shop]:
    async with postgres.connected(os.environ["TEST_DATABASE_URL"]) as database:
        users, products, sessions = (
            postgres.Users(database), postgres.Products(database), postgres.Sessions(database),
        )  # fmt: skip
        yield Shop(users, products, sessions, Plain(), clock)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take its time to connect."""
    monkeypatch.setattr(postgres, "POOL_TIMEOUT_S", 20.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database() -> str:
    """The URL of a PostgreSQL with db/migrations applied, and without users and products."""
    url = os.environ.get("TEST_DATABASE_URL")
    if not url:
        pytest.skip("TEST_DATABASE_URL does not name a PostgreSQL to test on")
    with psycopg.connect(url) as connection:
        for table in ("products", "sessions", "users"):
            connection.execute(f"DELETE FROM hexagonal.{table}")
    return url


@pytest.fixture(params=["memory", "postgresql"])
def composed(request: pytest.FixtureRequest, clock: Clock) -> AbstractAsyncContextManager[Shop]:
    """A composition that is still to be entered, on each set of adapters in turn."""
    if request.param == "memory":
        return in_memory(clock)
    request.getfixturevalue("database")
    return on_postgres(clock)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """An event loop for tests that are plain functions."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def shop(composed: AbstractAsyncContextManager[Shop], runner: asyncio.Runner) -> Iterator[Shop]:
    """A shop, on each set of adapters in turn; call it with `runner.run(...)`."""
    yield runner.run(composed.__aenter__())
    runner.run(composed.__aexit__(None, None, None))
