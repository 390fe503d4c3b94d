"""Connections from web servers, by CGI, SCGI or FastCGI: as those by HTTP, with the web server in between.

Limits, deadlines, draining and order are those of `HttpConnection`; what differs is where a request says it
came from. The web server at the other end is the peer. Where that is a trusted proxy, the client is who
*it* says it is (REMOTE_ADDR), and the client's own forwarding fields count where that one is a trusted proxy
in turn, as if it had connected itself. Where it is not, it counts as the client, whatever it says.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pierhead.messages.request import Address
from pierhead.protocols.cgi import CgiCodec, GatewayCodec
from pierhead.protocols.http1 import Framing, RequestHead
from pierhead.transports.connection import HttpConnection
from pierhead.transports.exchange import Exchange
from pierhead.transports.phase import HANDLER

if TYPE_CHECKING:
    from pierhead.transports.limits import ListenerLimits
    from pierhead.transports.server import Server

__all__ = ["CgiConnection", "FastCGIConnection", "GatewayConnection", "ScgiConnection"]


class GatewayConnection(HttpConnection):
    """The application's side of a connection from a web server."""

    def __init__(self, server: Server, limits: ListenerLimits, codec: GatewayCodec) -> None:
        super().__init__(server, limits)
        self.codec = self._gateway = codec

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the peer, and whether to believe it."""
        super().connection_made(transport)
        self._gateway.trusted = self.trusted

    def abort(self) -> None:
        """Cut the connection with a reset: its mere end passes for the proper end of a response.

        By SCGI it is one, and nginx and Caddy take it for one by FastCGI as well.
        """
        found: socket.socket | None = self.transport.get_extra_info("socket")
        if found is not None:
            with contextlib.suppress(OSError):
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        super().abort()

    def _begin(self, head: RequestHead) -> None:
        server = self.server
        told = self._gateway.request
        assert told is not None
        self._body = None
        if head.framing is not Framing.NONE:
            self._body = self.limits.make_body(self._go_on, self._update_reading)
        peer = self.client, self.local
        if told.client is not None:
            self.client = Address(*told.client)
            self.trusted = server.trusts(self.client)
        if told.server is not None:
            self.local = Address(told.server[0] or self.local.host, told.server[1])
        self.scheme = told.scheme
        request, extra = server.make_request(head, self._body, self)
        self.client, self.local = peer
        request.root_path += told.root_path
        self._wait_for(HANDLER, self.limits.settings.handler_timeout_s)
        self._exchange = Exchange(self, request, head, extra)
        self._exchange.start()


class CgiConnection(GatewayConnection):
    """A request by CGI, on standard input and output: who starts a process is believed in all it says."""

    def __init__(self, server: Server, environment: Mapping[bytes, bytes]) -> None:
        super().__init__(server, server.limits, CgiCodec(server.limits.heads, environment))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin at once: the head is in the environment."""
        super().connection_made(transport)
        self._gateway.trusted = True
        self._dispatch(self.codec.feed(b""))

    def eof_received(self) -> bool:
        """Take the end of standard input: it is that of the body, not of who waits for the response."""
        self._dispatch(self.codec.feed_eof())
        return True


class ScgiConnection(GatewayConnection):
    """A connection by SCGI: for one request."""

    def __init__(self, server: Server, limits: ListenerLimits) -> None:
        from pierhead.protocols.scgi import ScgiCodec

        super().__init__(server, limits, ScgiCodec(limits.heads))


class FastCGIConnection(GatewayConnection):
    """A connection by FastCGI: for one request at a time."""

    def __init__(self, server: Server, limits: ListenerLimits) -> None:
        from pierhead.protocols.fastcgi import FastCGICodec

        self._fastcgi = FastCGICodec(limits.heads, max_connections=limits.settings.max_connections)
        super().__init__(server, limits, self._fastcgi)
        self._postponed: tuple[int, str, dict[str, str] | None] | None = None

    def data_received(self, data: bytes) -> None:
        """Feed the codec, and send what it answers itself."""
        if self._postponed is not None:
            self._fastcgi.feed(data)
            if self._fastcgi.begun:
                super()._refuse(*self._postponed)
                self._postponed = None
            return
        super().data_received(data)
        self._send_replies()

    def answered(self) -> None:
        """Go on after a complete response, perhaps with what the web server sent ahead."""
        super().answered()
        self._send_replies()

    def _refuse(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        """Refuse the request; a connection too many is only told so once it has a request to be answered."""
        if status == 503 and not self._fastcgi.begun:
            self._postponed = (status, reason, headers)
        else:
            super()._refuse(status, reason, headers)

    def _send_replies(self) -> None:
        output = self._fastcgi.take_output()
        if self.transport.is_closing():
            return
        if output and not self._lingers:  # after a refusal nothing more is said
            if self.congested:  # asking and asking, and reading none of the answers
                self.transport.abort()
                return
            self.write(output)
        if self._fastcgi.finished:
            self.transport.close()
