"""Listeners whose connections begin with a PROXY header: it is read off the socket before anything else.

Only trusted proxies may connect: from any other peer the header could say anything, and without one it would
be somebody who found a way around the proxy. Both are closed unheard. The client that the header names is the
peer from then on: for addresses in requests and logs, and for whose forwarding fields to believe.
"""

from __future__ import annotations

import asyncio
import logging
import socket as socket_module
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from pierhead.log import facts
from pierhead.messages.request import Address
from pierhead.protocols.proxy import ProxyError, ProxyHeader, ProxyReader
from pierhead.protocols.proxy.header import MAX_HEADER_BYTES
from pierhead.transports.acceptor import Acceptor, Share
from pierhead.transports.address import peer_address
from pierhead.transports.connection import HttpConnection
from pierhead.transports.tls import Certificates, TlsConnection

if TYPE_CHECKING:
    from pierhead.transports.limits import ListenerLimits
    from pierhead.transports.server import Server

__all__ = ["ProxiedConnection", "ProxiedTlsConnection", "ProxyAcceptor"]

logger = logging.getLogger("pierhead.proxy")

_MOST_WARNINGS = 100


class ProxiedConnection(HttpConnection):
    """The server's side of a connection by HTTP from the client that a header names."""

    def __init__(self, server: Server, limits: ListenerLimits, origin: ProxyHeader) -> None:
        super().__init__(server, limits)
        self.origin = origin

    def _meet(self, transport: asyncio.BaseTransport) -> None:
        """Take the client for the peer: its connections are what counts."""
        super()._meet(transport)
        _apply(self, self.origin)


class ProxiedTlsConnection(TlsConnection):
    """The same over TLS."""

    def __init__(
        self, server: Server, limits: ListenerLimits, certificates: Certificates, origin: ProxyHeader
    ) -> None:
        super().__init__(server, limits, certificates)
        self.origin = origin

    def _meet(self, transport: asyncio.BaseTransport) -> None:
        """Take the client for the peer: its connections are what counts."""
        super()._meet(transport)
        _apply(self, self.origin)


def _apply(connection: HttpConnection, origin: ProxyHeader) -> None:
    if origin.client is not None:
        connection.client = Address(*origin.client)
        connection.trusted = connection.server.trusts(connection.client)
    if origin.server is not None:
        connection.local = Address(*origin.server)
    if origin.secure:
        connection.scheme = "https"


class ProxyAcceptor(Acceptor):
    """Accepts connections that begin with a header; `make` returns the connection for one."""

    def __init__(
        self,
        server: Server,
        listener: socket_module.socket,
        make: Callable[[ProxyHeader], HttpConnection],
        share: Share | None,
        budget: int,
        head_timeout_s: float,
        **options: Any,
    ) -> None:
        super().__init__(server, listener, server.connect, share, budget, **options)
        self._make_proxied = make
        self._head_timeout_s = head_timeout_s
        self._warned: set[str] = set()

    async def _make(self, connection: socket_module.socket) -> None:
        """Read the header and hand the connection over."""
        try:
            peer = peer_address(connection.getpeername())
        except OSError:  # it is gone already
            connection.close()
            return
        try:
            if not self._server.trusts(peer):
                raise ProxyError("it is no trusted proxy (trusted_proxies)")
            async with asyncio.timeout(self._head_timeout_s):
                header = await _read_header(connection)
        except ProxyError as error:
            self._warn(peer, str(error))
        except TimeoutError:
            self._warn(peer, "its PROXY header did not come in time")
        except (OSError, asyncio.CancelledError):
            pass
        else:
            await self._hand_over(connection, partial(self._make_proxied, header))
            return
        connection.close()

    def _warn(self, peer: Address, reason: str) -> None:
        """Log why a connection was closed, once for each peer: it may come again and again."""
        if peer.host not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(peer.host)
            logger.warning(
                "closed a connection from %s: %s",
                peer.host,
                reason,
                extra=facts("connection_refused", client=peer.host, reason=reason),
            )


async def _read_header(accepted: socket_module.socket) -> ProxyHeader:
    """Take the header off a socket and leave what follows; raises ProxyError and OSError."""
    reader = ProxyReader()
    while reader.header is None:
        await _readable(accepted)
        data = accepted.recv(MAX_HEADER_BYTES, socket_module.MSG_PEEK)
        if not data:
            raise ConnectionAbortedError("closed before its PROXY header was complete")
        accepted.recv(reader.feed(data))  # all that was seen, or what belongs to the header
    return reader.header


async def _readable(accepted: socket_module.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def become_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(accepted.fileno(), become_ready)
    try:
        await ready
    finally:
        loop.remove_reader(accepted.fileno())
