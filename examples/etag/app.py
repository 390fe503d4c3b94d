"""Users with validators: nothing is sent twice that the client has, and no update is lost.

Run `DATABASE_URL=postgresql://... pierhead run app:app` in this folder; README.md has the requests to try.

Where the state lives: in PostgreSQL, in the table `etag.users`. Any worker of any replica gives a user the
same entity tag, because the tag is a digest of what is sent.

Reading: the server answers 304 by itself, for any 200 that has an ETag or a Last-Modified. Writing: a user is
changed only by who says, with If-Match, which version the change was made to. The row is locked while that is
compared, so that of two who change the same version one gets 412, in whichever worker they arrive.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from pierhead import App, HTTPError, Request, Response, check_preconditions, restore_etags
from pierhead.messages.dates import format_http_date

POOL_SIZE = 3
POOL_TIMEOUT_S = 0.8

Connection = psycopg.AsyncConnection[DictRow]
Row = dict[str, Any]

app = App("etag")
log = logging.getLogger("etag")


# Requests


@app.endpoint(priority=100)
def undo_proxies(request: Request) -> None:
    """Turn what compressing proxies made of our entity tags back into the tags we sent."""
    restore_etags(request.headers)


@app.get("/")
async def index(request: Request) -> Row:
    """Say what is here."""
    return {"example": "etag", "users": request.url_for_path("/user")}


@app.post("/user")
async def create_user(request: Request) -> Response:
    """Create a user and say where it is."""
    user = fields(await request.json())
    async with connection() as database:
        row = await one(database, INSERT, **user)
    response = show(row, status=201)
    response.headers["Location"] = request.url_for_path(f"/user/{row['id']}")
    return response


@app.get("/user/{user_id:int}")
async def show_user(request: Request, user_id: int) -> Response:
    """Show a user, or (the server sees to it) 304 to who has this version already."""
    async with connection() as database:
        return show(await one(database, SELECT, id=user_id))


@app.put("/user/{user_id:int}")
async def replace_user(request: Request, user_id: int) -> Response:
    """Replace a user whose current version the client knows.

    The answer has no ETag: what is stored is not what was sent byte by byte (RFC 9110, 9.3.4).
    """
    user = fields(await request.json())
    async with connection() as database, database.transaction():
        check(request, await one(database, LOCK, id=user_id))
        await one(database, UPDATE, id=user_id, **user)
    return Response.empty()


@app.delete("/user/{user_id:int}")
async def delete_user(request: Request, user_id: int) -> Response:
    """Delete a user whose current version the client knows."""
    async with connection() as database, database.transaction():
        check(request, await one(database, LOCK, id=user_id))
        await one(database, DELETE, id=user_id)
    return Response.empty()


# Validators


def show(row: Row, status: int = 200) -> Response:
    """Answer with a user and its validators.

    The tag is strong: equal tags mean equal bytes, also after a release that shows users in another way. That
    the version is among these bytes keeps the tag of a user who was changed and changed back from returning.
    """
    shown = {name: row[name] for name in ("id", "name", "about", "version")}
    response = Response.json(shown, status=status)
    assert isinstance(response.body, bytes)
    response.headers["ETag"] = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
    response.headers["Last-Modified"] = format_http_date(row["updated"])
    response.headers["Cache-Control"] = "no-cache"  # may be kept, and is asked about each time
    return response


def check(request: Request, row: Row) -> None:
    """Raise 412 if a condition of the request does not hold, 428 if the request does not say If-Match.

    If-Unmodified-Since alone is not enough: in one second there may be two changes.
    """
    current = show(row).headers
    check_preconditions(request, etag=current["ETag"], modified=current["Last-Modified"])
    if "If-Match" not in request.headers:
        detail = "say with If-Match which version you change: the ETag that GET shows"
        raise HTTPError(428, detail, headers={"ETag": current["ETag"]})


# What a user is

FIELDS = {
    "name": (re.compile(r"(?!\s*$)[^\x00-\x1f\x7f]{1,100}"), "must be a text of 1 to 100 characters"),
    "about": (re.compile(r"[^\x00]{0,65536}"), "must be a text of at most 65536 characters"),
}
READ_ONLY = {"id", "version"}  # what GET shows may come back; these are not written


def fields(body: object) -> Row:
    """Return the fields of a user that `body` gives, or raise 422 with all that is wrong with it."""
    if not isinstance(body, dict):
        raise HTTPError(422, f"a user must be a JSON object with {' and '.join(FIELDS)}")
    user = {"about": ""} | body
    wrong = [
        {"pointer": f"#/{name}", "detail": rule}
        for name, (pattern, rule) in FIELDS.items()
        if not (isinstance(user.get(name), str) and pattern.fullmatch(user[name]))
    ]
    unknown = sorted(user.keys() - FIELDS - READ_ONLY)
    wrong += [{"pointer": "#", "detail": f"a user has no {name[:40]!r}"} for name in unknown]
    if wrong:
        raise HTTPError(422, "this is not a valid user", errors=wrong)
    return {name: user[name] for name in FIELDS}


# The database

SELECT = "SELECT id, name, about, version, updated FROM users WHERE id = %(id)s"
LOCK = f"{SELECT} FOR UPDATE"
INSERT = """
    INSERT INTO users (name, about) VALUES (%(name)s, %(about)s)
    RETURNING id, name, about, version, updated"""
UPDATE = """
    UPDATE users SET name = %(name)s, about = %(about)s, version = version + 1, updated = now()
    WHERE id = %(id)s RETURNING id"""
DELETE = "DELETE FROM users WHERE id = %(id)s RETURNING id"


def connection() -> Any:
    """Lend a connection of this worker's pool, as one transaction."""
    pool: AsyncConnectionPool[Connection] = app.state.pool
    return pool.connection()


async def one(database: Connection, sql: str, **values: object) -> Row:
    """Run a statement and return its one row, or raise 404."""
    cursor = await database.execute(sql, values)
    row = await cursor.fetchone()
    if row is None:
        raise HTTPError(404, f"there is no user {values['id']}")
    return row


@app.lifespan
async def pool(app: App) -> AsyncIterator[None]:
    """Open this worker's pool and close it at the end. The database may still be starting: nobody waits."""
    async with AsyncConnectionPool(
        database_url(),
        connection_class=Connection,
        kwargs=connection_arguments(),
        min_size=1,
        max_size=POOL_SIZE,
        max_waiting=200,
        timeout=POOL_TIMEOUT_S,
        reconnect_timeout=2,
        check=check_connection,
        open=False,
        name="etag",
    ) as app.state.pool:
        yield


def database_url() -> str:
    """Return DATABASE_URL, or raise RuntimeError: without it there is nothing to serve."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise RuntimeError(
            "examples/etag needs PostgreSQL: set DATABASE_URL=postgresql://user:password@host:port/database"
        )
    return url


def connection_arguments() -> dict[str, Any]:
    """Return what every connection gets besides the URL."""
    arguments: dict[str, Any] = {
        "row_factory": dict_row,
        "connect_timeout": 2,
        "tcp_user_timeout": 3000,  # ms
        "options": "-c search_path=etag -c statement_timeout=2s -c idle_in_transaction_session_timeout=10s",
        "application_name": "pierhead-etag",
    }
    if password_file := os.environ.get("DATABASE_PASSWORD_FILE"):
        arguments["password"] = Path(password_file).read_text(encoding="utf-8").strip()
    return arguments


async def check_connection(connection: Connection) -> None:
    """Refuse a dead connection; then the others are probably dead too (a restart), so check them all."""
    try:
        await AsyncConnectionPool.check_connection(connection)
    except psycopg.Error:
        await app.state.pool.check()
        raise


@app.exception(psycopg.OperationalError)
@app.exception(psycopg.InterfaceError)
@app.exception(psycopg.errors.UndefinedTable)
async def no_answer(request: Request, error: psycopg.Error) -> Response:
    """Answer 503: no connection in time, one that was lost or slow, or a table that is still to be made."""
    log.warning("%s: %s", type(error).__name__, error)
    return Response.problem(503, "the database cannot answer now", headers={"Retry-After": "1"})
