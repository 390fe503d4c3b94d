"""WebSocket connections that one process passes to another: who gives one away, and who takes it over.

The socket is the same in both. Who gave it away reads and writes no more, but keeps the connection in its
books, and its descriptor, until the other one has finished: so it counts, and is told when the server leaves.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket as socket_module
from collections.abc import Callable
from typing import TYPE_CHECKING

from pierhead.protocols.http1 import Event, Http1Codec, Http1Limits
from pierhead.protocols.websocket import Handshake
from pierhead.transports.connection import HttpConnection
from pierhead.transports.websocket import WebSocketShell

if TYPE_CHECKING:
    from pierhead.config.listen import OwnLimits
    from pierhead.messages.request import Request
    from pierhead.messages.response import Response
    from pierhead.messages.websocket import WebSocketChannel
    from pierhead.transports.limits import ListenerLimits
    from pierhead.transports.server import Server

__all__ = ["Given", "PassedConnection", "give_away"]


@dataclasses.dataclass(eq=False)
class Given:
    """A connection that was given away, as who gave it sees it; in the place of a WebSocketShell."""

    fd: int
    """The socket's descriptor: copy it."""
    ahead: bytes
    """What was read already."""
    handshake: Handshake
    own_limits: OwnLimits
    """Those of the listener that it came by."""
    close_code: int
    """What the server, which is leaving already, closes it with; 0 where it stays."""
    told: Callable[[int], None]
    """Called with the close code when the server goes away."""
    lost: Callable[[], None]
    """Called when the connection is cut here."""
    shell: WebSocketShell

    def finished(self, sent_bytes: int) -> None:
        """Note how much was sent over it, for the record."""
        self.shell.sent_bytes = sent_bytes

    @property
    def requests(self) -> tuple[Request, ...]:
        """None but its own, which is the exchange's."""
        return ()

    def data_received(self, data: bytes) -> None:
        """Nothing comes: reading is paused."""

    def eof_received(self) -> None:
        """Nothing comes: reading is paused."""

    def connection_lost(self) -> None:
        """Pass on; the server cuts what has not finished in time."""
        self.lost()

    def writable(self) -> None:
        """Nothing is written."""

    def tick(self, now: float) -> None:
        """Who has the connection keeps its deadlines."""

    def go_away(self, code: int) -> None:
        """Pass on."""
        self.told(code)


def give_away(
    channel: WebSocketChannel, told: Callable[[int], None], lost: Callable[[], None]
) -> Given | None:
    """Take the socket from under a WebSocket whose handshake is not answered; None where that cannot be.

    It cannot where there is more to the connection than its socket: TLS, or bytes that wait to be sent.
    """
    if not isinstance(channel, WebSocketShell):
        return None
    connection = channel.connection
    transport = connection.transport
    found = transport.get_extra_info("socket")
    if (
        found is None
        or connection.lost
        or transport.is_closing()
        or transport.get_extra_info("ssl_object") is not None
        or transport.get_write_buffer_size()
    ):
        return None
    server = connection.server
    code = server.close_code if server.draining else 0
    given = Given(found.fileno(), b"", channel.handshake, connection.limits.own, code, told, lost, channel)
    given.ahead = connection.hand_over(given)
    channel.given_away()
    return given


class PassedConnection(HttpConnection):
    """A connection that was taken over, and its WebSocket."""

    def __init__(self, server: Server, limits: ListenerLimits, ahead: bytes, handshake: Handshake) -> None:
        super().__init__(server, limits)
        self.codec = _Ahead(ahead)
        self.shell = WebSocketShell(self, _Accepted(), handshake)
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def take_over(
        cls,
        server: Server,
        limits: ListenerLimits,
        passed: socket_module.socket,
        ahead: bytes,
        handshake: Handshake,
    ) -> PassedConnection:
        """Go on with a socket; next the handshake is to be accepted."""
        passed.setblocking(False)
        connection = cls(server, limits, ahead, handshake)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, passed)
        return connection

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note of the end."""
        super().connection_lost(exc)
        if not self._gone.done():
            self._gone.set_result(None)

    async def finish(self) -> int:
        """Close after the conversation, and wait until it is; returns how many bytes were sent."""
        if not self.shell.finish():
            self.abort()
        await self._gone
        return self.shell.sent_bytes


class _Ahead(Http1Codec):
    """A codec that only keeps what comes, for who takes over."""

    def __init__(self, ahead: bytes) -> None:
        super().__init__(Http1Limits())
        self._kept = ahead

    def feed(self, data: bytes) -> list[Event]:
        """Keep what comes; see Codec."""
        self._kept += data
        return []

    def feed_eof(self) -> list[Event]:
        """Do nothing: the WebSocket is told."""
        return []

    def switch(self) -> bytes:
        """Hand over; see Codec."""
        return self._kept


class _Accepted:
    """What a shell asks of its exchange, where the handshake is as good as accepted."""

    def accepted(self) -> None:
        """Do nothing: who gave the connection away has noted it."""

    def respond(self, response: Response) -> None:
        """Raise RuntimeError: it is too late for another response."""
        raise RuntimeError("the WebSocket handshake was already answered")
