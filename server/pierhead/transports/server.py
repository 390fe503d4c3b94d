"""The server of one process: accepts connections for an application, sweeps deadlines, drains."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import itertools
import math
import os
import re
import socket as socket_module
import sys
import time
from collections.abc import Callable, Iterable, Sequence, Sized
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pierhead.config.listen import ListenURL
from pierhead.config.settings import speaks_http2
from pierhead.forwarded import WARY, WATCHED, Forwarding
from pierhead.messages.body import BodyReader
from pierhead.messages.dates import format_http_date
from pierhead.messages.headers import LazyHeaders
from pierhead.messages.request import Address, Request
from pierhead.protocols.http1 import Http1Limits, RequestHead, SimpleHeads, split_fields
from pierhead.transports.acceptor import Acceptor, Share
from pierhead.transports.body import IncomingBody, body_limits
from pierhead.transports.connection import HttpConnection
from pierhead.transports.crowd import Crowd, client_key
from pierhead.transports.descriptors import connection_budget
from pierhead.transports.meter import Meter
from pierhead.transports.tally import Tally

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.interfaces.base import Application
    from pierhead.transports.carrier import Origin

__all__ = ["Recorder", "Server"]


class Recorder(Protocol):
    """Takes note of a response: to a request, or (None) to what `peer` sent that was refused before."""

    def __call__(
        self,
        request: Request | None,
        status: int,
        body_bytes: int,
        duration_s: float,
        peer: str = "",
        reason: str = "",
    ) -> None:
        """Record the status, the body's bytes that were sent, the seconds it took, and why it was refused."""


_REQUEST_ID = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
SWEEP_S = 0.25
"""How often deadlines are looked at; they are late by no more than this and the loop's own delay."""


class Server:
    """Serves `application` on listening sockets inside a running event loop.

    server = Server(application, settings)
    await server.serve(sockets)
    ...
    await server.drain(settings.drain_timeout_s)
    await server.close()
    """

    def __init__(
        self,
        application: Application,
        settings: Settings,
        *,
        forwarding: Forwarding | None = None,
        record: Recorder | None = None,
        share: Share | None = None,
    ) -> None:
        self.application = application
        self.record = record
        self.respond = application.respond
        self.http2 = speaks_http2(settings)
        """Whether connections may go on by HTTP/2."""
        self.draining = False
        self.close_code = 1001
        """What WebSockets are closed with while the server drains."""
        self.clock = time.monotonic
        self.stamp = b""
        """The field lines Date and Server, rendered."""
        self._forwarding = forwarding or Forwarding(settings)
        self.meter = Meter()
        self.request_id_field = settings.request_id_header
        """The name of the field that carries the request's id, "" where none does."""
        self.request_id_name = self.request_id_field.lower().encode("latin-1")
        self._watched = [*WATCHED, self.request_id_name] if self.request_id_name else list(WATCHED)
        self._nothing_watched = (None,) * len(self._watched)
        self._limit(settings)
        self.chores: list[Callable[[float], None]] = []
        """What else is done at each sweep; called with the time."""
        self._id_prefix = os.urandom(6).hex()
        self._ids = itertools.count(1)
        self._make_id = self._next_id  # bound once
        self._connections: set[HttpConnection] = set()
        self._counted: dict[HttpConnection, str] = {}
        self._crowd = Crowd(share)
        self.task_ended: Callable[[], None] = _nothing
        """Called when a request that took its time has ended."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._max_connections = settings.max_connections
        self._tally = Tally(share)
        self._own_tally: Tally | None = None
        self._doors: dict[tuple[tuple[str, Any], ...], Server] = {}
        self._share = share
        self._listeners: list[Acceptor | asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._started = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def in_flight(self) -> Sized:
        """The requests and WebSockets that somebody works on, or waits for: but those of other lines."""
        return self._tasks

    @property
    def in_progress(self) -> int:
        """How many requests and WebSockets somebody works on, or waits for."""
        return sum(map(len, self._lines()))

    def requests_in_progress(self, most: int) -> list[Request]:
        """Return up to `most` of the requests that have no complete response yet."""
        if not self.in_progress:
            return []
        requests = itertools.chain.from_iterable(connection.requests for connection in self._connections)
        return list(itertools.islice(requests, most))

    @property
    def ready(self) -> bool:
        """Whether it takes requests and will go on doing so."""
        return self._started and not self.draining

    async def start(self) -> None:
        """Start the application and the sweep without listening; raises whatever its start raises."""
        if self._started:
            raise RuntimeError("the server was started already")
        await self.application.start()
        self._started = True
        self._tick()

    async def serve(self, sockets: Iterable[socket_module.socket], urls: Sequence[str] = ()) -> None:
        """Start the application, then accept connections on bound stream sockets; returns when it listens.

        `urls` are those of the sockets, in their order; without any, HTTP is spoken. Raises whatever the
        application's start raises, and OSError for a socket that cannot listen.
        """
        await self.start()
        for number, socket in enumerate(sockets):
            await self.listen(socket, urls[number] if urls else "http://localhost")

    async def listen(self, socket: socket_module.socket, url: str) -> None:
        """Accept connections on a bound stream socket that was made of `url`; call it after `start`.

        Raises OSError for a socket that cannot listen, CertificateError for certificates that cannot be used.
        """
        listener = ListenURL.parse(url)
        server = self.door(listener) if listener.limits else self
        if listener.protocol == "https" or listener.proxy_protocol:
            from pierhead.transports.secure import accept_securely

            self._listeners.append(accept_securely(server, socket, listener, self._share))
            return
        connect = partial(server.connect, listener.protocol)
        if sys.platform == "win32":  # its event loop tells nothing of a listening socket
            self._listeners.append(await asyncio.get_running_loop().create_server(connect, sock=socket))
        else:
            self._listeners.append(Acceptor(self, socket, connect, self._share, connection_budget()))

    def door(self, listener: ListenURL, application: Application | None = None) -> Server:
        """Return the server that a listener with limits of its own needs: this one, but for the limits.

        Listeners with the same limits share one. With `application`, which calls this server's in the end,
        its requests in progress are counted apart from the others; without, among them.
        """
        door = self._doors.get(listener.limits)
        if door is None:
            own = dict(listener.limits)
            door = self._doors[listener.limits] = copy.copy(self)
            door._limit(dataclasses.replace(self.settings, **own))
            door._set_time(self.clock())
            if "max_connections" in own:
                door._own_tally = Tally(self._share, len(self._doors))  # as all workers count them
            if "max_connections_per_client" in own:
                door._crowd = Crowd(self._share, len(self._doors))
            if application is not None:
                door.application, door.respond = application, application.respond
                door._tasks = set()
        return door

    def connect(self, protocol: str = "http") -> HttpConnection:
        """Return the asyncio side of a new connection by `http`, `fastcgi` or `scgi`."""
        if protocol == "http":
            return HttpConnection(self)
        from pierhead.transports.gateway import FastCGIConnection, ScgiConnection

        return FastCGIConnection(self) if protocol == "fastcgi" else ScgiConnection(self)

    async def drain(self, grace_s: float, *, going_away: bool = True) -> int:
        """Stop accepting, let what is in progress finish, and cut what is left after `grace_s` seconds.

        WebSockets are closed with 1001 (`going_away`) or 1012, event streams are ended, idle connections
        get a short grace in which a request under way is still answered. Returns how many were cut.
        """
        for server in (self, *self._doors.values()):
            server.draining = True
            server.close_code = 1001 if going_away else 1012
        for listener in self._listeners:
            if isinstance(listener, Acceptor):
                # Where the server restarts, the next generation takes what is queued.
                listener.close(take_all=going_away)
            else:
                listener.close()
        self._now()
        known = set(self._connections)
        for connection in known:
            connection.wind_down(self.close_code)
        # What was accepted before becomes a connection only now, or once its TLS handshake is done.
        await asyncio.gather(*(one.settle() for one in self._listeners if isinstance(one, Acceptor)))
        self._listeners.clear()
        self._now()
        for connection in self._connections - known:
            connection.wind_down(self.close_code)
        try:
            async with asyncio.timeout(grace_s):
                await self.finished()
        except TimeoutError:
            pass
        cut = len(self._connections)
        for connection in list(self._connections):
            connection.abort()
        tasks = [task for line in self._lines() for task in line]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        return cut

    async def finished(self) -> None:
        """Wait until no connection is open and no task goes on."""
        while self._connections or self.in_progress:
            self._empty.clear()
            await self._empty.wait()

    async def close(self) -> None:
        """Stop the sweep and the application; call it after `drain`."""
        if self._sweep is not None:
            self._sweep.cancel()
        if self._started:
            self._started = False
            await self.application.stop()

    # What connections call

    def trusts(self, peer: Address) -> bool:
        """Tell whether `peer` is a proxy whose word counts."""
        return self._forwarding.trusts(peer)

    def note(
        self,
        request: Request | None,
        status: int,
        body_bytes: int,
        duration_s: float,
        peer: str = "",
        reason: str = "",
    ) -> None:
        """Count a response, and have it recorded where somebody does; see Recorder."""
        self.meter.note(status, body_bytes, duration_s)
        if self.record is not None:
            self.record(request, status, body_bytes, duration_s, peer, reason)

    def add(self, connection: HttpConnection) -> int:
        """Count a new connection; returns the status that it is refused with, 0 where it is not.

        503: it is one more than `max_connections`; 429: than `max_connections_per_client`.
        """
        self._connections.add(connection)
        tally, own = self._tally, self._own_tally
        tally.change(+1)
        if own is not None:
            own.change(+1)
            if own.total > self.settings.max_connections:
                return 503
        if tally.total > self._max_connections:
            return 503
        if self.settings.max_connections_per_client and not connection.trusted:
            who = client_key(connection.client.host)
            self._counted[connection] = who
            if self._crowd.come(who) > self.settings.max_connections_per_client:
                return 429
        return 0

    def remove(self, connection: HttpConnection) -> None:
        """Forget a connection that is closed."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._tally.change(-1)
        if self._own_tally is not None:
            self._own_tally.change(-1)
        self._empty.set()
        who = self._counted.pop(connection, None)
        if who is not None:
            self._crowd.go(who)

    def make_body(self, started: Callable[[], None], changed: Callable[[], None]) -> IncomingBody:
        """Return a body to be fed; see IncomingBody."""
        settings = self.settings
        return IncomingBody(started, changed, settings.body_timeout_s, settings.min_body_rate_bytes)

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold a task that goes on, and wait for it when draining."""
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def make_request(
        self, head: RequestHead, body: BodyReader | None, connection: Origin
    ) -> tuple[Request, bytes]:
        """Build the Request of a head that came from a client, or, by a trusted proxy's word, through it.

        Returns with it the field lines that the response gets whatever the application answers.
        """
        watched = head.watched
        headers = LazyHeaders(split_fields, head.section)
        request_id: str | Callable[[], str] = self._make_id
        extra = b""
        ordinary = watched == self._nothing_watched  # nothing is said about the client, nor about the request
        if not ordinary and connection.trusted and self.request_id_field:
            said = headers.get(self.request_id_field) if watched is None else watched[-1]
            if said is not None and (known := _request_id(said)):
                request_id = known
                # The response says it, too: so all logs on the way agree.
                extra = f"{self.request_id_field}: {known}\r\n".encode()
        # By position, in half the time that names take; the order is that of Request's parameters.
        request = Request(
            head.method,
            head.target,
            headers,
            body,
            head.version,
            connection.scheme,
            connection.client,
            connection.local,
            request_id,
            self._body_limits,
        )
        if connection.tls is not None:
            request.tls = connection.tls
        if not ordinary:
            if watched is not None and connection.trusted:
                self._forwarding.apply_watched(request, head.host, watched[: len(WATCHED)])
            else:
                self._forwarding.apply(request, head.section)
        return request, extra

    # Inside

    def _limit(self, settings: Settings) -> None:
        """Take the limits of connections, heads and bodies from `settings`."""
        self.settings = settings
        self.http_limits = Http1Limits(
            max_line_bytes=settings.max_line_bytes,
            max_head_bytes=settings.max_head_bytes,
            max_headers=settings.max_headers,
            max_body_bytes=settings.max_body_bytes,
        )
        self._body_limits = body_limits(settings)
        self.simple_heads = SimpleHeads(self.http_limits, self._watched, WARY)
        self._set_time(self.clock())

    def _lines(self) -> list[set[asyncio.Task[None]]]:
        """Return the tasks, by the lines in which they are counted."""
        lines = [self._tasks]
        lines += [door._tasks for door in self._doors.values() if door._tasks is not self._tasks]
        return lines

    def _next_id(self) -> str:
        return f"{self._id_prefix}{next(self._ids):08x}"

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._empty.set()
        self.task_ended()
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a connection's task failed", "exception": error, "task": task}
            )

    def _now(self) -> None:
        now = self.clock()
        self._set_time(now)
        for door in self._doors.values():
            door._set_time(now)

    def _set_time(self, now: float) -> None:
        settings = self.settings
        self.now = now
        """The time of the last sweep, on the loop's clock: exact enough for deadlines, and free."""
        self.idle_deadline = now + (settings.keep_alive_timeout_s or math.inf)
        """When a connection that is idle from now on is closed."""
        self.handler_deadline = now + (settings.handler_timeout_s or math.inf)
        """When an application that begins to answer now takes too long."""

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._now()
        lines = [f"Date: {format_http_date(time.time())}\r\n"] if self.settings.date_header else []
        if self.settings.server_header:
            lines.append(f"Server: {self.settings.server_header}\r\n")
        self.stamp = "".join(lines).encode("latin-1")
        for door in self._doors.values():
            door.stamp = self.stamp
        for connection in list(self._connections):
            connection.tick(self.now)
        for chore in self.chores:
            chore(self.now)
        self._sweep = loop.call_later(SWEEP_S, self._tick)


def _nothing() -> None:
    """Do nothing."""


def _request_id(value: bytes | str) -> str | None:
    """Return an id that may stand in logs and in a response; None where it is none."""
    text = value.rstrip(b"\t ").decode("latin-1") if isinstance(value, bytes) else value
    return text if _REQUEST_ID.fullmatch(text) else None
