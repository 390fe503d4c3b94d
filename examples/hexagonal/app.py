"""The composition root: the one place that knows which adapter is behind which port.

Run `DATABASE_URL=postgresql://... pierhead run app:app` in this folder; README.md has the requests to try.

Where the state lives: in PostgreSQL, schema `hexagonal`. Nothing is kept in memory.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shop.adapters import http, passwords, postgres
from shop.domain.service import Shop


@asynccontextmanager
async def composed() -> AsyncIterator[Shop]:
    """Make the shop of one worker: its ports, plugged into PostgreSQL and argon2."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise RuntimeError(
            "examples/hexagonal needs PostgreSQL: set DATABASE_URL=postgresql://user:password@host:port/database"
        )
    async with postgres.connected(url, database_password()) as database:
        yield Shop(
            users=postgres.Users(database),
            products=postgres.Products(database),
            sessions=postgres.Sessions(database),
            passwords=passwords.Argon2(),
        )


def database_password() -> str | None:
    """Return the password that DATABASE_PASSWORD_FILE holds, if there is such a file."""
    file = os.environ.get("DATABASE_PASSWORD_FILE")
    return Path(file).read_text(encoding="utf-8").strip() if file else None


app = http.application(composed)
