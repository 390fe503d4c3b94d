"""Notifications for every client of every worker and replica, as server-sent events that nobody misses.

Run `DATABASE_URL=postgresql://... pierhead run app:app` in this folder; README.md has the requests to try.

Where the state lives: the last KEPT notifications are in PostgreSQL, in the table `sse.notifications`, and
each worker has a copy of them, its `Feed`. One connection of the worker LISTENs for news, and reads them from
the table: a NOTIFY that was missed is made good by the next one, by a look every CHECK_S, or by reconnecting.

A client is a place in the feed: the id of the last event it was sent. That is what it says when it comes back
(Last-Event-ID), to whichever worker. It is also why a slow client costs nothing: it has no queue of its own.
The feed is the bounded queue of them all. Whoever falls behind its start is told so, by an event `missed`.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import logging
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from pierhead import App, HTTPError, Request, Response, ServerSentEvent, event_stream

KEPT = 1000  # notifications in the table and in each worker's feed: at most 1000 characters each
RETRY_MS = 1000  # a client that lost its connection comes back after so long
KEEP_ALIVE_S = 15.0  # a comment after so long a silence: proxies wait 60 s and more
CHECK_S = 10.0  # how often the listener looks whether its connection is alive
RECONNECT_S = 0.5
POOL_SIZE = 2  # for POST; the listener's connection is not one of these
POOL_TIMEOUT_S = 0.8

Connection = psycopg.AsyncConnection[DictRow]

app = App("sse")
log = logging.getLogger("sse")
PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")


# Requests


@app.get("/")
async def page(request: Request) -> Response:
    """Show what comes in, and send something."""
    return Response.html(PAGE)


@app.get("/sse")
async def stream(request: Request) -> Response:
    """Send every notification from now on, or from the one after Last-Event-ID on.

    Always 200: any other status would have an EventSource give up for ever. A page that makes a new one
    cannot set the field, and says `?last_event_id=` instead.
    """
    last_id = request.headers.get("Last-Event-ID") or request.query.get("last_event_id")
    feed: Feed = app.state.feed
    return event_stream(feed.follow(last_id), retry_ms=RETRY_MS, keep_alive_s=KEEP_ALIVE_S)


@app.post("/notification")
async def notify(request: Request) -> Response:
    """Store a notification and tell every worker."""
    body = await request.json()
    text = body.get("text") if isinstance(body, dict) else None
    if not isinstance(text, str) or not re.fullmatch(r"(?!\s*\Z)[^\x00]{1,1000}", text):
        rule = "must be a text of 1 to 1000 characters"
        raise HTTPError(
            422, "this is not a valid notification", errors=[{"pointer": "#/text", "detail": rule}]
        )
    pool: AsyncConnectionPool[Connection] = app.state.pool
    async with pool.connection() as connection:
        await connection.execute(LOCK)
        cursor = await connection.execute(INSERT, {"text": text, "kept": KEPT})
        row = await cursor.fetchone()
    assert row is not None
    return Response.json({"id": row["id"]}, status=202)


# The feed of one worker


class Feed:
    """The last notifications, kept up to date by `listen`, for any number of clients."""

    def __init__(self) -> None:
        self.events: list[tuple[int, ServerSentEvent]] = []
        """By id, at most KEPT."""
        self.gone = 0
        """The id of the last notification that is no longer kept."""
        self.loaded = asyncio.Event()
        """Whether the table was read at all."""
        self.news = asyncio.Event()
        """Set when something was added; then there is another one to wait for."""

    @property
    def last(self) -> int:
        """The id of the last notification."""
        return self.events[-1][0] if self.events else self.gone

    def add(self, rows: list[DictRow], gone: int | None = None) -> None:
        """Append what the table has; with `gone` it takes the place of everything."""
        if gone is not None:
            self.events, self.gone = [], gone
        for row in rows:
            data = json.dumps({"text": row["text"], "sent": row["sent"].isoformat()}, ensure_ascii=False)
            self.events.append((row["id"], ServerSentEvent(data, id=str(row["id"]))))
        if excess := self.events[:-KEPT]:
            self.gone = excess[-1][0]
            del self.events[:-KEPT]
        self.loaded.set()
        self.news.set()
        self.news = asyncio.Event()

    async def follow(self, last_id: str | None) -> AsyncIterator[ServerSentEvent]:
        """Yield the events after `last_id`, as they come, for ever; see `missed` for when some are lost."""
        await self.loaded.wait()  # a database that is still starting is waited for, with comments
        if last_id is None:
            place = self.last
            yield ServerSentEvent(id=str(place))  # so that a client that has seen nothing can come back, too
        else:
            place = int(last_id) if re.fullmatch(r"[0-9]{1,18}", last_id) else -1
        while True:
            news = self.news
            if place > self.last and await unknown(place):  # else another worker was quicker than this one
                place = -1
            if place < self.gone:
                place = self.gone
                yield missed(place)
            while place < self.last:
                found = bisect.bisect_right(self.events, place, key=lambda entry: entry[0])
                if place < self.gone:
                    break
                place, event = self.events[found]
                yield event
            else:
                await news.wait()


def missed(place: int) -> ServerSentEvent:
    """Return the event that tells a client to fetch anew what it shows: some it was to be told are gone."""
    return ServerSentEvent(json.dumps({"kept_after": place}), event="missed", id=str(place))


async def listen(feed: Feed) -> None:
    """Keep the feed up to date, for ever, on a connection of its own; reconnect when it is lost."""
    lost = False
    while True:
        try:
            async with await Connection.connect(
                database_url(), autocommit=True, **connection_arguments()
            ) as connection:
                await connection.execute(
                    "LISTEN sse"
                )  # first: then nothing is missed while the table is read
                rows = await select(connection, after=0)
                feed.add(rows, gone=rows[0]["id"] - 1 if len(rows) == KEPT else 0)
                if lost:
                    log.info("listening again")
                lost = False
                while True:
                    async for _ in connection.notifies(timeout=CHECK_S, stop_after=1):
                        pass
                    if rows := await select(connection, after=feed.last):
                        feed.add(rows)
        except psycopg.Error as error:
            if not lost:
                log.warning("not listening, trying again: %s", error)
            lost = True
        await asyncio.sleep(RECONNECT_S)


# The database

# Ids must become visible in their order, or who was sent 6 would never be told 5: so one INSERT at a time.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('sse.notifications'))"
INSERT = """
    WITH trimmed AS (
        DELETE FROM notifications
        WHERE id <= (SELECT id FROM notifications ORDER BY id DESC OFFSET %(kept)s - 1 LIMIT 1)
    ), inserted AS (
        INSERT INTO notifications (text) VALUES (%(text)s) RETURNING id
    )
    SELECT id, pg_notify('sse', '') FROM inserted"""
SELECT = """
    SELECT id, text, sent FROM (
        SELECT id, text, sent FROM notifications WHERE id > %(after)s ORDER BY id DESC LIMIT %(kept)s
    ) AS newest ORDER BY id"""


async def select(connection: Connection, after: int) -> list[DictRow]:
    """Return the notifications after an id, at most KEPT."""
    cursor = await connection.execute(SELECT, {"after": after, "kept": KEPT})
    return await cursor.fetchall()


async def unknown(place: int) -> bool:
    """Tell whether the table has not come to this id yet: it is invented, or of a database since restored."""
    pool: AsyncConnectionPool[Connection] = app.state.pool
    try:
        async with pool.connection() as connection:
            cursor = await connection.execute("SELECT coalesce(max(id), 0) AS id FROM notifications")
            row = await cursor.fetchone()
    except psycopg.Error:
        return False  # nobody knows; when the listener is back it is asked again
    return row is not None and row["id"] < place


@app.lifespan
async def connections(app: App) -> AsyncIterator[None]:
    """Run the listener and open the pool. The database may still be starting: nobody waits."""
    app.state.feed = Feed()
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
        name="sse",
    ) as app.state.pool:
        listener = asyncio.create_task(listen(app.state.feed))
        try:
            yield
        finally:
            listener.cancel()
            await asyncio.wait([listener])


def database_url() -> str:
    """Return DATABASE_URL, or raise RuntimeError: without it there is nothing to serve."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise RuntimeError(
            "examples/sse needs PostgreSQL: set DATABASE_URL=postgresql://user:password@host:port/database"
        )
    return url


def connection_arguments() -> dict[str, Any]:
    """Return what every connection gets besides the URL."""
    arguments: dict[str, Any] = {
        "row_factory": dict_row,
        "connect_timeout": 2,
        "tcp_user_timeout": 3000,  # ms
        "options": "-c search_path=sse -c statement_timeout=2s -c idle_in_transaction_session_timeout=10s",
        "application_name": "pierhead-sse",
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
