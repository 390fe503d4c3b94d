"""The ports on PostgreSQL, through one pool of connections. The tables come from db/migrations."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests
from shop.domain.model import Account, EmailTaken, Product, SkuTaken, Unavailable, User

__all__ = ["Database", "Products", "Sessions", "Users", "connected"]

log = logging.getLogger("hexagonal")

POOL_TIMEOUT_S = 0.8

Connection = psycopg.AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]


@asynccontextmanager
async def connected(url: str, password: str | None = None) -> AsyncIterator[Database]:
    """Open a pool, and close it at the end. The database may still be starting: nobody waits for it."""
    arguments: dict[str, Any] = {
        "connect_timeout": 2,
        "tcp_user_timeout": 3000,  # ms
        "options": "-c search_path=hexagonal -c statement_timeout=2s"
        " -c idle_in_transaction_session_timeout=10s",
        "application_name": "pierhead-hexagonal",
    }
    if password is not None:
        arguments["password"] = password

    async def check(connection: Connection) -> None:
        """Refuse a dead connection; then the others are probably dead too (a restart), so check them all."""
        try:
            await AsyncConnectionPool.check_connection(connection)
        except psycopg.Error:
            await pool.check()
            raise

    # Nobody waits longer than `timeout` for a connection, nor with more than `max_waiting` others.
    pool: Pool = AsyncConnectionPool(
        url, connection_class=Connection, kwargs=arguments,
        min_size=1, max_size=4, max_waiting=200, timeout=POOL_TIMEOUT_S,
        reconnect_timeout=2, check=check, open=False, name="hexagonal",
    )  # fmt: skip
    async with pool:
        yield Database(pool)


class Database:
    """Runs SQL, and says what went wrong in the words of the domain."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """Run one statement as one transaction; return its rows. Raises Unavailable.

        IntegrityError passes: only the caller knows what it means.
        """
        try:
            async with self.pool.connection() as connection:
                cursor = await connection.execute(sql, values)
                return await cursor.fetchall() if cursor.description else []
        except psycopg.errors.UndefinedTable as error:
            reason = str(error).splitlines()[0]
            log.error("%s: apply db/migrations to this database first", reason)  # noqa: TRY400 - says it all
            raise Unavailable("the database is not ready") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            overloaded = isinstance(error, PoolTimeout | TooManyRequests)
            log.log(logging.DEBUG if overloaded else logging.WARNING, "%s: %s", type(error).__name__, error)
            raise Unavailable("the database cannot answer now") from error


class Users:
    """The table `users`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def add(self, email: str, name: str, password_hash: str) -> User:
        """Keep a new user."""
        sql = """
            INSERT INTO users (email, name, password_hash) VALUES (%(email)s, %(name)s, %(password_hash)s)
            RETURNING id, email, name"""
        try:
            [row] = await self.database.rows(sql, email=email, name=name, password_hash=password_hash)
        except psycopg.errors.UniqueViolation as error:
            raise EmailTaken("another user has this email") from error
        return User(*row)

    async def account(self, email: str) -> Account | None:
        """Return the account with this email."""
        sql = "SELECT id, email, name, password_hash FROM users WHERE email = %(email)s"
        found = await self.database.rows(sql, email=email)
        return Account(User(*found[0][:3]), found[0][3]) if found else None


class Products:
    """The table `products`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def add(self, sku: str, name: str, price_cents: int, added_by: int) -> Product:
        """Keep a new product."""
        sql = """
            INSERT INTO products (sku, name, price_cents, added_by)
            VALUES (%(sku)s, %(name)s, %(price_cents)s, %(added_by)s)
            RETURNING id, sku, name, price_cents, added_by"""
        values = {"sku": sku, "name": name, "price_cents": price_cents, "added_by": added_by}
        try:
            [row] = await self.database.rows(sql, **values)
        except psycopg.errors.UniqueViolation as error:
            raise SkuTaken("another product has this sku") from error
        return Product(*row)

    async def get(self, product_id: int) -> Product | None:
        """Return one product."""
        sql = "SELECT id, sku, name, price_cents, added_by FROM products WHERE id = %(id)s"
        found = await self.database.rows(sql, id=product_id)
        return Product(*found[0]) if found else None

    async def page(self, after: int, most: int) -> list[Product]:
        """Return a page."""
        sql = """
            SELECT id, sku, name, price_cents, added_by FROM products
            WHERE id > %(after)s ORDER BY id LIMIT %(most)s"""
        return [Product(*row) for row in await self.database.rows(sql, after=after, most=most)]


class Sessions:
    """The table `sessions`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def add(self, digest: bytes, user_id: int, expires: datetime) -> None:
        """Keep a session."""
        sql = "INSERT INTO sessions (digest, user_id, expires) VALUES (%(digest)s, %(user_id)s, %(expires)s)"
        await self.database.rows(sql, digest=digest, user_id=user_id, expires=expires)

    async def user(self, digest: bytes, now: datetime) -> User | None:
        """Return whose session this is."""
        sql = """
            SELECT users.id, email, name FROM sessions JOIN users ON users.id = user_id
            WHERE digest = %(digest)s AND expires > %(now)s"""
        found = await self.database.rows(sql, digest=digest, now=now)
        return User(*found[0]) if found else None

    async def remove(self, digest: bytes) -> None:
        """Forget a session."""
        await self.database.rows("DELETE FROM sessions WHERE digest = %(digest)s", digest=digest)

    async def remove_expired(self, now: datetime) -> None:
        """Forget the sessions that are over."""
        await self.database.rows("DELETE FROM sessions WHERE expires <= %(now)s", now=now)
