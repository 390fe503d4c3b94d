"""The server of one process: accepts connections for an application, sweeps deadlines, drains."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import re
import socket as socket_module
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pierhead.config.listen import ListenURL, OwnLimits
from pierhead.config.settings import speaks_http2
from pierhead.forwarded import WATCHED, Forwarding
from pierhead.messages.body import BodyReader
from pierhead.messages.dates import format_http_date
from pierhead.messages.headers import LazyHeaders
from pierhead.messages.request import Address, Request
from pierhead.protocols.http1 import RequestHead, split_fields
from pierhead.transports.acceptor import Acceptor, Share
from pierhead.transports.connection import HttpConnection
from pierhead.transports.crowd import Crowd, client_key
from pierhead.transports.descriptors import connection_budget
from pierhead.transports.limits import InFlight, ListenerLimits
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
        self.settings = settings
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
        self.now = self.clock()
        """The time of the last sweep, on the loop's clock: exact enough for deadlines, and free."""
        self.chores: list[Callable[[float], None]] = []
        """What else is done at each sweep; called with the time."""
        self.pid = os.getpid()
        """The process that it serves in."""
        self._id_prefix = os.urandom(6).hex()
        self._ids = itertools.count(1)
        self._make_id = self._next_id  # bound once
        self._connections: set[HttpConnection] = set()
        self._counted: dict[HttpConnection, str] = {}
        self._tally = Tally(share)
        self._share = share
        self._listeners: list[Acceptor | asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._started = False
        self.in_flight = InFlight(application, self._empty.set)
        """The requests and WebSockets in progress, but for those that listeners have counted apart."""
        self.limits = ListenerLimits(settings, (), self._watched, self.in_flight, Crowd(share))
        """The limits of listeners that have none of their own."""
        self._limits: dict[OwnLimits, ListenerLimits] = {(): self.limits}
        self._set_time(self.now)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def in_progress(self) -> int:
        """How many requests and WebSockets somebody works on, or waits for."""
        return sum(len(one.tasks) for one in self._all_in_flight())

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
        limits = self.limits_of(listener.limits)
        if listener.protocol == "https" or listener.proxy_protocol:
            from pierhead.transports.secure import accept_securely

            self._listeners.append(accept_securely(self, limits, socket, listener, self._share))
            return
        connect = partial(self.connect, listener.protocol, limits)
        if sys.platform == "win32":  # its event loop tells nothing of a listening socket
            self._listeners.append(await asyncio.get_running_loop().create_server(connect, sock=socket))
        else:
            self._listeners.append(Acceptor(self, socket, connect, self._share, connection_budget()))

    def limits_of(self, own: OwnLimits, application: Application | None = None) -> ListenerLimits:
        """Return the limits of a listener that has `own`; listeners with the same limits share them.

        With `application`, which calls this server's in the end, requests by such a listener are answered by
        that one, and counted apart from the others; without, they are counted among them.
        """
        limits = self._limits.get(own)
        if limits is None:
            place = len(self._limits)  # the same in all workers
            limits = self._limits[own] = ListenerLimits(
                dataclasses.replace(self.settings, **dict(own)),
                own,
                self._watched,
                self.in_flight if application is None else InFlight(application, self._empty.set),
                Crowd(self._share, place)
                if "max_connections_per_client" in dict(own)
                else self.limits.clients,
                Tally(self._share, place) if "max_connections" in dict(own) else None,
            )
            limits.set_time(self.now)
        return limits

    def connect(self, protocol: str = "http", limits: ListenerLimits | None = None) -> HttpConnection:
        """Return the asyncio side of a new connection by `http`, `fastcgi` or `scgi`."""
        limits = limits or self.limits
        if protocol == "http":
            return HttpConnection(self, limits)
        from pierhead.transports.gateway import FastCGIConnection, ScgiConnection

        return (FastCGIConnection if protocol == "fastcgi" else ScgiConnection)(self, limits)

    async def drain(self, grace_s: float, *, going_away: bool = True) -> int:
        """Stop accepting, let what is in progress finish, and cut what is left after `grace_s` seconds.

        WebSockets are closed with 1001 (`going_away`) or 1012, event streams are ended, idle connections
        get a short grace in which a request under way is still answered. Returns how many were cut.
        """
        self.draining = True
        self.close_code = 1001 if going_away else 1012
        for listener in self._listeners:
            if isinstance(listener, Acceptor):
                # Where the server restarts, the next generation takes what is queued.
                listener.close(take_all=going_away)
            else:
                listener.close()
        self._set_time(self.clock())
        known = set(self._connections)
        for connection in known:
            connection.wind_down(self.close_code)
        # What was accepted before becomes a connection only now, or once its TLS handshake is done.
        await asyncio.gather(*(one.settle() for one in self._listeners if isinstance(one, Acceptor)))
        self._listeners.clear()
        self._set_time(self.clock())
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
        tasks = [task for one in self._all_in_flight() for task in one.tasks]
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
        limits = connection.limits
        self._connections.add(connection)
        self._tally.change(+1)
        if limits.connections is not None:
            limits.connections.change(+1)
            if limits.connections.total > limits.settings.max_connections:
                return 503
        if self._tally.total > self.settings.max_connections:
            return 503
        if limits.settings.max_connections_per_client and not connection.trusted:
            who = client_key(connection.client.host)
            self._counted[connection] = who
            if limits.clients.come(who) > limits.settings.max_connections_per_client:
                return 429
        return 0

    def remove(self, connection: HttpConnection) -> None:
        """Forget a connection that is closed."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._tally.change(-1)
        if connection.limits.connections is not None:
            connection.limits.connections.change(-1)
        self._empty.set()
        who = self._counted.pop(connection, None)
        if who is not None:
            connection.limits.clients.go(who)

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
            connection.limits.bodies,
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

    def _all_in_flight(self) -> set[InFlight]:
        return {limits.in_flight for limits in self._limits.values()}

    def _next_id(self) -> str:
        return f"{self._id_prefix}{next(self._ids):08x}"

    def _set_time(self, now: float) -> None:
        self.now = now
        for limits in self._limits.values():
            limits.set_time(now)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._set_time(self.clock())
        lines = [f"Date: {format_http_date(time.time())}\r\n"] if self.settings.date_header else []
        if self.settings.server_header:
            lines.append(f"Server: {self.settings.server_header}\r\n")
        self.stamp = "".join(lines).encode("latin-1")
        for connection in list(self._connections):
            connection.tick(self.now)
        for chore in self.chores:
            chore(self.now)
        self._sweep = loop.call_later(SWEEP_S, self._tick)


def _request_id(value: bytes | str) -> str | None:
    """Return an id that may stand in logs and in a response; None where it is none."""
    text = value.rstrip(b"\t ").decode("latin-1") if isinstance(value, bytes) else value
    return text if _REQUEST_ID.fullmatch(text) else None
