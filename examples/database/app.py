"""Products on PostgreSQL, through a pool of asynchronous connections.

Run `DATABASE_URL=postgresql://... pierhead run app:app` in this folder; README.md has the requests to try.

Where the state lives: in PostgreSQL, in the table `database.products`. A worker has connections, no more.

What happens when it gets tight: a request waits at most POOL_TIMEOUT_S for a connection, with at most
POOL_MAX_WAITING others, and a statement runs for at most STATEMENT_TIMEOUT_S; whatever takes longer is a 503
with Retry-After. Imports and exports take long: at most BULK_JOBS of them have a connection at a time, so
that there is one for everybody else. Connections are checked before they are lent, so a restarted database
needs no restart here.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from pierhead import App, HTTPError, Request, Response

# Connections of one worker; all workers, twice during a reload, must fit in max_connections.
POOL_SIZE = int(os.environ.get("DATABASE_POOL_SIZE", "5"))
POOL_MAX_WAITING = 200
POOL_TIMEOUT_S = 0.8
STATEMENT_TIMEOUT_S = 2
BULK_JOBS = 2
BULK_TIMEOUT_S = 60
BULK_ROWS = 500  # fetched and sent at a time
MAX_LINE_BYTES = 64 << 10
NDJSON = "application/x-ndjson"

Connection = psycopg.AsyncConnection[DictRow]
Row = dict[str, Any]

app = App("database")
log = logging.getLogger("database")


# Requests


@app.get("/")
async def index(request: Request) -> Row:
    """Say what is here."""
    return {"example": "database", "products": request.url_for_path("/products")}


@app.get("/products")
async def list_products(request: Request) -> Response:
    """List one page of products, and where the next one is (also in the Link header, RFC 8288)."""
    limit = number(request, "limit", default=20, least=1, most=100)
    after = number(request, "after", default=0, least=0, most=2**63 - 1)
    products = await rows(LIST, after=after, most=limit + 1)
    if len(products) <= limit:
        return Response.json({"products": products, "next": None})
    url = request.url_for_path(f"/products?limit={limit}&after={products[limit - 1]['id']}")
    return Response.json(
        {"products": products[:limit], "next": url}, headers={"Link": f'<{url}>; rel="next"'}
    )


@app.post("/products")
async def create_product(request: Request) -> Response:
    """Create a product and say where it is."""
    product = fields(await request.json(), new=True)
    [created] = await rows(INSERT, **product)
    location = request.url_for_path(f"/products/{created['id']}")
    return Response.json(created, status=201, headers={"Location": location})


@app.get("/products/{product_id:int}")
async def show_product(request: Request, product_id: int) -> Row:
    """Show one product."""
    return only(product_id, await rows(SELECT, id=product_id))


@app.put("/products/{product_id:int}")
async def replace_product(request: Request, product_id: int) -> Row:
    """Replace all fields of a product, if nobody else has changed it since it was read."""
    return await updated(product_id, fields(await request.json()))


@app.patch("/products/{product_id:int}")
async def change_product(request: Request, product_id: int) -> Row:
    """Change the fields that are given (RFC 7396), if nobody else has changed it since it was read."""
    return await updated(product_id, dict.fromkeys(FIELDS) | fields(await request.json(), partial=True))


@app.delete("/products/{product_id:int}")
async def delete_product(request: Request, product_id: int) -> Response:
    """Delete a product."""
    only(product_id, await rows(DELETE, id=product_id))
    return Response.empty()


@app.post("/transfers")
async def transfer_stock(request: Request) -> dict[str, Row]:
    """Move stock from one product to another: both change, or neither does."""
    source, target, quantity = transfer(await request.json())
    # The transaction ends with this block: committed, or, if anything in it raises, as if it had never been.
    async with app.state.pool.connection() as connection:
        # Locked in the order of their ids: two transfers in opposite directions do not wait for each other.
        cursor = await connection.execute(LOCK, {"ids": [source, target]})
        stock = {row["id"]: row["stock"] for row in await cursor.fetchall()}
        for product_id in (source, target):
            if product_id not in stock:
                raise HTTPError(404, f"there is no product {product_id}")
        if stock[source] < quantity:
            raise HTTPError(409, f"product {source} has {stock[source]} in stock, not {quantity}")
        if stock[target] + quantity > MAX_INTEGER:
            raise HTTPError(409, f"product {target} has {stock[target]} in stock, and no room for {quantity}")
        changes = {"from": (source, -quantity), "to": (target, quantity)}
        moved = {}
        for name, (product_id, change) in changes.items():
            cursor = await connection.execute(MOVE, {"id": product_id, "change": change})
            [moved[name]] = await cursor.fetchall()
    return moved


@app.post("/products/import")
async def import_products(request: Request) -> Row:
    """Create as many products as the body has lines (NDJSON), as they come: all of them, or none."""
    if request.content_type.type != NDJSON:
        raise HTTPError(415, f"send one JSON object a line, as {NDJSON}")
    count = 0
    async with bulk() as connection, connection.cursor() as cursor, cursor.copy(COPY) as copy:
        async for number, line in lines(request):
            if line.strip():
                await copy.write_row(list(parsed(number, line).values()))
                count += 1
    return {"imported": count}


@app.get("/products/export")
async def export_products(request: Request) -> Response:
    """Send all products, one JSON object a line (NDJSON), as they were at one moment."""
    pieces = exported()
    await anext(pieces)  # as far as the first row: until then, what goes wrong still has a status of its own
    return Response.stream(pieces, content_type=NDJSON)


# What a product is

TEXT = r"[^\x00-\x1f\x7f\ud800-\udfff]"  # no control characters (PostgreSQL stores no NUL), and whole ones
MAX_INTEGER = 2**31 - 1
FIELDS = {
    "sku": "must be 1 to 40 of A-Z, 0-9 and -, and not start with -",
    "name": "must be a text of 1 to 200 characters",
    "price_cents": f"must be a whole number from 0 to {MAX_INTEGER}",
    "stock": f"must be a whole number from 0 to {MAX_INTEGER}",
}
VERSION = {"version": "must be the version that was read: only that one is changed"}
DEFAULTS = {"stock": 0}
READ_ONLY = {"id", "updated", "version"}  # what GET shows may come back; these are not written


def valid(name: str, value: object) -> bool:
    """Return whether `value` may be stored as the field `name`."""
    if name == "sku":
        return isinstance(value, str) and re.fullmatch(r"[A-Z0-9][A-Z0-9-]{0,39}", value) is not None
    if name == "name":
        return isinstance(value, str) and re.fullmatch(rf"(?!\s*$){TEXT}{{1,200}}", value) is not None
    return whole(value)


def whole(value: object) -> bool:
    """Return whether `value` is a number that PostgreSQL's type integer can hold, and not negative."""
    return type(value) is int and 0 <= value <= MAX_INTEGER  # JSON's true is no number


def fields(body: object, *, new: bool = False, partial: bool = False) -> Row:
    """Return the fields of a product that `body` gives, or raise 422 with all that is wrong with it.

    One that is not new also has its version in it.
    """
    rules = FIELDS if new else FIELDS | VERSION
    if not isinstance(body, dict):
        raise HTTPError(422, f"a product must be a JSON object with {', '.join(rules)}")
    product = body if partial else DEFAULTS | body
    wrong = [
        {"pointer": f"#/{name}", "detail": rule}
        for name, rule in rules.items()
        if not (partial and name in FIELDS and name not in product) and not valid(name, product.get(name))
    ]
    unknown = sorted(product.keys() - FIELDS - READ_ONLY)
    wrong += [{"pointer": "#", "detail": f"a product has no {name[:40]!r}"} for name in unknown]
    if wrong:
        raise HTTPError(422, "this is not a valid product", errors=wrong)
    return {name: product[name] for name in rules if name in product}


def transfer(body: object) -> tuple[int, int, int]:
    """Return source, target and quantity of a transfer, or raise 422."""
    values = [body.get(name) for name in ("from", "to", "quantity")] if isinstance(body, dict) else [None]
    if not all(map(whole, values)) or values[0] == values[1] or not values[2]:
        raise HTTPError(422, "a transfer has from and to, the ids of two products, and quantity, at least 1")
    return values[0], values[1], values[2]


def parsed(number: int, line: bytes) -> Row:
    """Return the fields of the product in a line of an import, or raise 422, which names the line."""
    try:
        return fields(json.loads(line), new=True)
    except HTTPError as error:
        raise HTTPError(422, f"line {number}: {error.detail}", line=number, **error.extensions) from None
    except (ValueError, RecursionError):
        raise HTTPError(422, f"line {number} is not JSON", line=number) from None


async def lines(request: Request) -> AsyncIterator[tuple[int, bytes]]:
    """Yield each line of a body with its number, as they come; raises 422 for one that is too long."""
    number, rest = 1, b""
    async for piece in request.stream():
        *complete, rest = (rest + piece).split(b"\n")
        for line in complete:
            yield number, fitting(number, line)
            number += 1
        fitting(number, rest)
    yield number, rest


def fitting(number: int, line: bytes) -> bytes:
    """Return the line of an import if it is not too long, or raise 422."""
    if len(line) > MAX_LINE_BYTES:
        raise HTTPError(422, f"line {number} is longer than {MAX_LINE_BYTES} bytes", line=number)
    return line


def number(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    """Return a whole number from the query, or raise 400."""
    text = request.query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise HTTPError(400, f"{name} must be a whole number from {least} to {most}", parameter=name)
    return int(text)


# The database

# Columns are named, never *: a migration may add some while this runs, and prepared statements would break.
LIST = """
    SELECT id, sku, name, price_cents, stock, version, updated FROM products
    WHERE id > %(after)s ORDER BY id LIMIT %(most)s"""
SELECT = """
    SELECT id, sku, name, price_cents, stock, version, updated FROM products WHERE id = %(id)s"""
INSERT = """
    INSERT INTO products (sku, name, price_cents, stock)
    VALUES (%(sku)s, %(name)s, %(price_cents)s, %(stock)s)
    RETURNING id, sku, name, price_cents, stock, version, updated"""
UPDATE = """
    UPDATE products
    SET sku = COALESCE(%(sku)s, sku), name = COALESCE(%(name)s, name),
        price_cents = COALESCE(%(price_cents)s, price_cents), stock = COALESCE(%(stock)s, stock),
        version = version + 1, updated = now()
    WHERE id = %(id)s AND version = %(version)s
    RETURNING id, sku, name, price_cents, stock, version, updated"""
DELETE = "DELETE FROM products WHERE id = %(id)s RETURNING id"
LOCK = "SELECT id, stock FROM products WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE"
MOVE = """
    UPDATE products SET stock = stock + %(change)s, version = version + 1, updated = now()
    WHERE id = %(id)s
    RETURNING id, sku, name, price_cents, stock, version, updated"""
COPY = "COPY products (sku, name, price_cents, stock) FROM STDIN"
BULK_SETTINGS = """
    SET LOCAL statement_timeout = '{0}s'; SET LOCAL transaction_timeout = '{0}s';
    SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = '{1}s'"""
EXPORT = "SELECT id, sku, name, price_cents, stock, version, updated FROM products ORDER BY id"


async def rows(sql: str, **values: object) -> list[Row]:
    """Run one statement as one transaction; return its rows. Values never become part of the SQL."""
    pool: AsyncConnectionPool[Connection] = app.state.pool
    async with pool.connection() as connection:
        cursor = await connection.execute(sql, values)
        return await cursor.fetchall()


async def updated(product_id: int, product: Row) -> Row:
    """Write a product that still has the version in `product`; else raise 409 with what it is now."""
    found = await rows(UPDATE, id=product_id, **product)
    if not found:
        current = only(product_id, await rows(SELECT, id=product_id))
        detail = f"this product has been changed since: it has version {current['version']} now"
        raise HTTPError(409, detail, current=current)
    return found[0]


@asynccontextmanager
async def bulk() -> AsyncIterator[Connection]:
    """Lend a connection for one transaction of up to BULK_TIMEOUT_S; raise 503 if too many have one."""
    if app.state.bulk_jobs >= BULK_JOBS:
        raise HTTPError(503, "other imports and exports are running", headers={"Retry-After": "5"})
    app.state.bulk_jobs += 1
    try:
        async with app.state.pool.connection() as connection:
            await connection.execute(BULK_SETTINGS.format(BULK_TIMEOUT_S, STATEMENT_TIMEOUT_S))
            yield connection
    finally:
        app.state.bulk_jobs -= 1


encode = json.JSONEncoder(separators=(",", ":"), default=datetime.isoformat).encode


async def exported() -> AsyncGenerator[bytes]:
    """Yield nothing once the rows are there, then the rows, BULK_ROWS at a time.

    The cursor has a name, so the result stays in the database: here is never more of it than one piece,
    however slow the client and however many rows there are.
    """
    async with bulk() as connection, connection.cursor("export") as cursor:
        await cursor.execute(EXPORT)
        yield b""
        while found := await cursor.fetchmany(BULK_ROWS):
            yield "".join(f"{encode(row)}\n" for row in found).encode()


def only(product_id: int, found: list[Row]) -> Row:
    """Return the one row that was found, or raise 404."""
    if not found:
        raise HTTPError(404, f"there is no product {product_id}")
    return found[0]


@app.lifespan
async def pool(app: App) -> AsyncIterator[None]:
    """Open this worker's pool and close it at the end. The database may still be starting: nobody waits."""
    app.state.bulk_jobs = 0
    async with AsyncConnectionPool(
        database_url(),
        connection_class=Connection,
        kwargs=connection_arguments(),
        min_size=1,
        max_size=POOL_SIZE,
        max_waiting=POOL_MAX_WAITING,
        timeout=POOL_TIMEOUT_S,
        reconnect_timeout=2,  # then the next request tries again: no growing pauses after a long outage
        check=check,
        open=False,
        name="database",
    ) as app.state.pool:
        yield


def database_url() -> str:
    """Return DATABASE_URL, or raise RuntimeError: without it there is nothing to serve."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise RuntimeError(
            "examples/database needs PostgreSQL: set DATABASE_URL=postgresql://user:password@host:port/database"
        )
    return url


def connection_arguments() -> dict[str, Any]:
    """Return what every connection gets besides the URL."""
    arguments: dict[str, Any] = {
        "row_factory": dict_row,
        "connect_timeout": 2,
        "tcp_user_timeout": 3000,  # ms; a database host that vanished is noticed, not waited for
        "options": f"-c search_path=database -c statement_timeout={STATEMENT_TIMEOUT_S}s"
        " -c idle_in_transaction_session_timeout=10s",
        "application_name": "pierhead-database",
    }
    if password_file := os.environ.get("DATABASE_PASSWORD_FILE"):
        arguments["password"] = Path(password_file).read_text(encoding="utf-8").strip()
    return arguments


async def check(connection: Connection) -> None:
    """Refuse a dead connection; then the others are probably dead too (a restart), so check them all."""
    try:
        await AsyncConnectionPool.check_connection(connection)
    except psycopg.Error:
        await app.state.pool.check()
        raise


@app.exception(psycopg.errors.UniqueViolation)
async def taken(request: Request, error: psycopg.errors.UniqueViolation) -> Response:
    """Answer 409: the only unique field is the sku."""
    return Response.problem(409, "another product has this sku")


@app.exception(psycopg.errors.UndefinedTable)
async def not_migrated(request: Request, error: psycopg.errors.UndefinedTable) -> Response:
    """Answer 503: somebody has to run the migrations first."""
    log.error("%s: apply db/migrations to this database first", str(error).splitlines()[0])
    return unavailable("the database is not ready")


@app.exception(psycopg.OperationalError)
@app.exception(psycopg.InterfaceError)
async def no_answer(request: Request, error: psycopg.Error) -> Response:
    """Answer 503: no connection in time (PoolTimeout, TooManyRequests), or one that was lost or slow."""
    overloaded = isinstance(error, PoolTimeout | TooManyRequests)
    log.log(logging.DEBUG if overloaded else logging.WARNING, "%s: %s", type(error).__name__, error)
    if isinstance(error, psycopg.errors.QueryCanceled):
        return unavailable("the database took too long")
    return unavailable("the database cannot answer now")


def unavailable(detail: str) -> Response:
    """Return a 503 that asks to try again soon."""
    return Response.problem(503, detail, headers={"Retry-After": "1"})
