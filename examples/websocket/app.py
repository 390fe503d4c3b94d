"""An echo, and chat rooms whose members may be at any worker of any replica.

Run `DATABASE_URL=postgresql://... pierhead run app:app` in this folder; README.md has what to try.

Where the state lives: nowhere. What is said goes through PostgreSQL, by NOTIFY, to all workers and from each
to its own members, all in the same order. Nothing is stored, so whoever is away misses it. (The example
sse loses nothing: choose by what your users need.) A worker that cannot hear the others sends its members
away, to come back when it can, rather than have them talk to themselves.

Who ends a WebSocket, and why, is in its close code; README.md lists them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from pierhead import App, HTTPError, Request, Response, WebSocket, WebSocketClosed

TEXT_MAX = 1000  # characters of a message; with all around it a NOTIFY takes 8000 bytes
QUEUE_MAX = 100  # messages that may wait for one slow member
CHECK_S = 10.0  # how often the listener looks whether its connection is alive
RECONNECT_S = 0.5
POOL_SIZE = 2  # to speak; the listener's connection is not one of these
POOL_TIMEOUT_S = 0.8

INVALID_TYPE, POLICY_VIOLATION, TOO_BIG, TRY_AGAIN_LATER = 1003, 1008, 1009, 1013  # RFC 6455, 7.4 and IANA

app = App("websocket")
app.converter("room", r"[a-z0-9-]{1,40}")
log = logging.getLogger("websocket")
PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")


class Goodbye(Exception):
    """Ends a conversation with a close code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


# Requests


@app.get("/")
async def page(request: Request) -> Response:
    """Show a chat room."""
    return Response.html(PAGE)


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    """Send everything back."""
    check_origin(socket.request)
    async for message in socket:
        await socket.send(message)


@app.websocket("/chat/{room:room}")
async def chat(socket: WebSocket, room: str) -> None:
    """Be a member of a room: send text to speak, receive JSON with what is said."""
    check_origin(socket.request)
    name = socket.request.query.get("name", "")
    if not re.fullmatch(r"(?!\s*\Z)[^\x00-\x1f\x7f]{1,40}", name):
        raise HTTPError(400, "say who you are: ?name= is 1 to 40 characters", parameter="name")
    rooms: Rooms = app.state.rooms
    if not rooms.listening:
        raise HTTPError(503, "the other workers cannot be heard now", headers={"Retry-After": "1"})
    await socket.accept()
    member = Member()
    rooms.members[room].add(member)
    goodbye = None
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write(socket, member))
            tasks.create_task(member.dismissed())
            tasks.create_task(read(socket, room, name))
    except* WebSocketClosed:
        pass  # the member left, or the server stops
    except* Goodbye as group:
        goodbye = next(error for error in group.exceptions if isinstance(error, Goodbye))
    finally:
        rooms.leave(room, member)
        with suppress(Goodbye):
            await say(room, name, "left")
    if goodbye is not None:
        await socket.close(goodbye.code, goodbye.reason)


async def read(socket: WebSocket, room: str, name: str) -> None:
    """Pass on what a member says. The next message is read when this one has gone: nobody floods a room."""
    await say(room, name, "joined")
    while True:
        text = await socket.receive()
        if isinstance(text, bytes):
            raise Goodbye(INVALID_TYPE, "this room is for text")
        if len(text) > TEXT_MAX:
            raise Goodbye(TOO_BIG, f"a message has at most {TEXT_MAX} characters")
        if not text.strip() or "\0" in text:
            raise Goodbye(POLICY_VIOLATION, "a message has text, and no NUL")
        await say(room, name, "said", text)


async def write(socket: WebSocket, member: Member) -> None:
    """Send a member what was said; waits for it alone."""
    while True:
        await socket.send(await member.queue.get())


def check_origin(request: Request) -> None:
    """Refuse pages of other sites with 403: a browser would send our users' cookies along (RFC 6455, 10.2).

    Who sends no Origin is no browser. ALLOWED_ORIGINS names other sites, as https://a.example, with commas.
    """
    origin = request.headers.get("Origin")
    allowed = {f"{request.scheme}://{request.host}".lower()}
    allowed.update(os.environ.get("ALLOWED_ORIGINS", "").lower().split(","))
    if origin is not None and origin.lower() not in allowed - {""}:
        raise HTTPError(403, "pages of this origin may not connect", origin=origin[:200])


# Rooms


class Member:
    """Somebody in a room, at this worker."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_MAX)
        self._goodbye: asyncio.Future[Goodbye] = asyncio.get_running_loop().create_future()

    def tell(self, message: str) -> None:
        """Send a message; who is too slow to take it is dismissed."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.dismiss(Goodbye(TRY_AGAIN_LATER, "you read too slowly"))

    def dismiss(self, goodbye: Goodbye) -> None:
        """Have the conversation end."""
        if not self._goodbye.done():
            self._goodbye.set_result(goodbye)

    async def dismissed(self) -> None:
        """Wait until the conversation is to end; raises Goodbye then."""
        raise await self._goodbye


class Rooms:
    """The members at this worker, by room, and whether the other workers are heard."""

    def __init__(self) -> None:
        self.members: defaultdict[str, set[Member]] = defaultdict(set)
        self.listening = False

    def leave(self, room: str, member: Member) -> None:
        """Forget a member, and a room that is empty."""
        self.members[room].discard(member)
        if not self.members[room]:
            del self.members[room]

    def tell(self, payload: str) -> None:
        """Tell the members of a room what was said in it."""
        message = json.loads(payload)
        for member in tuple(self.members.get(message["room"], ())):
            member.tell(payload)

    def dismiss(self, goodbye: Goodbye) -> None:
        """Send everybody away."""
        for members in self.members.values():
            for member in members:
                member.dismiss(goodbye)


async def say(room: str, name: str, kind: str, text: str = "") -> None:
    """Tell all workers what happens in a room; raises Goodbye where that cannot be done."""
    message = {"room": room, "kind": kind, "name": name} | ({"text": text} if text else {})
    payload = json.dumps(message, ensure_ascii=False)
    pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = app.state.pool
    try:
        async with pool.connection() as connection:
            await connection.execute("SELECT pg_notify('websocket', %s)", [payload])
    except psycopg.Error as error:
        log.warning("%s: %s", type(error).__name__, error)
        raise Goodbye(TRY_AGAIN_LATER, "the other workers cannot be reached now") from error


async def listen(rooms: Rooms) -> None:
    """Hear what is said, for ever, on a connection of its own; reconnect when it is lost."""
    lost = False
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                database_url(), autocommit=True, **connection_arguments()
            ) as connection:
                await connection.execute("LISTEN websocket")
                rooms.listening = True
                if lost:
                    log.info("listening again")
                lost = False
                while True:
                    async for notify in connection.notifies(timeout=CHECK_S):
                        rooms.tell(notify.payload)
                    await connection.execute("SELECT 1")
        except psycopg.Error as error:
            if not lost:
                log.warning("not listening, trying again: %s", error)
            lost = True
        rooms.listening = False
        rooms.dismiss(Goodbye(TRY_AGAIN_LATER, "the other workers cannot be heard now"))
        await asyncio.sleep(RECONNECT_S)


# The database


@app.lifespan
async def connections(app: App) -> AsyncIterator[None]:
    """Run the listener and open the pool. The database may still be starting: nobody waits."""
    app.state.rooms = Rooms()
    async with AsyncConnectionPool(
        database_url(),
        kwargs=connection_arguments(),
        min_size=1,
        max_size=POOL_SIZE,
        max_waiting=200,
        timeout=POOL_TIMEOUT_S,
        reconnect_timeout=2,
        check=check_connection,
        open=False,
        name="websocket",
    ) as app.state.pool:
        listener = asyncio.create_task(listen(app.state.rooms))
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
            "examples/websocket needs PostgreSQL:"
            " set DATABASE_URL=postgresql://user:password@host:port/database"
        )
    return url


def connection_arguments() -> dict[str, Any]:
    """Return what every connection gets besides the URL."""
    arguments: dict[str, Any] = {
        "connect_timeout": 2,
        "tcp_user_timeout": 3000,  # ms
        "options": "-c statement_timeout=2s -c idle_in_transaction_session_timeout=10s",
        "application_name": "pierhead-websocket",
    }
    if password_file := os.environ.get("DATABASE_PASSWORD_FILE"):
        arguments["password"] = Path(password_file).read_text(encoding="utf-8").strip()
    return arguments


async def check_connection(connection: psycopg.AsyncConnection[Any]) -> None:
    """Refuse a dead connection; then the others are probably dead too (a restart), so check them all."""
    try:
        await AsyncConnectionPool.check_connection(connection)
    except psycopg.Error:
        await app.state.pool.check()
        raise
