"""One accepted connection: feeds bytes to the HTTP/1 codec, starts exchanges, keeps deadlines and order.

The connection reads; an `Exchange` answers one request and reports back with `answered`. There is one
exchange at a time: what a pipelining client sends ahead waits in the codec.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.messages.headers import Headers
from pierhead.messages.request import Address
from pierhead.messages.response import Response
from pierhead.protocols.codec import Codec
from pierhead.protocols.http1 import Data, End, Event, Framing, Http1Codec, Http2Preface, Refused, RequestHead
from pierhead.transports.address import peer_address
from pierhead.transports.body import IncomingBody
from pierhead.transports.exchange import Exchange
from pierhead.transports.phase import FIRST_BYTE, HANDLER, HEAD, IDLE, LINGER, REST, SENDING, Phase

if TYPE_CHECKING:
    from pierhead.messages.request import Request
    from pierhead.messages.tls import TLSInfo
    from pierhead.transports.limits import ListenerLimits
    from pierhead.transports.server import Server
    from pierhead.transports.upgraded import Upgraded
    from pierhead.transports.websocket import WebSocketExchange

__all__ = ["HttpConnection"]

_NOWHERE = Address("", None)
_NO_EVENTS: list[Event] = []
_NOTHING_HELD: list[bytes] = []
_MOST_HELD_BYTES = 64 << 10
_PIPELINE_HIGH_WATER_BYTES = 64 << 10
_DRAINED_BODY_BYTES = 64 << 10  # an unread body up to this is read and dropped to keep the connection
_LINGER_S = 2.0
_LINGER_BYTES = 16 << 20  # more than is under way: the buffers of both kernels hold some 10 MiB
_HALF_CLOSED_GRACE_S = 2.0  # for an answer to a client that has closed its side, but may still read
_LATE_REQUEST_GRACE_S = 0.5  # for a request on a kept connection that was under way when the drain began
_FIRST_REQUEST_GRACE_S = 2.0  # for the request of a connection just made: it is almost certain to come
_NO_BODY = Framing.NONE


class HttpConnection(asyncio.Protocol):
    """The server's side of one HTTP/1 connection."""

    # fmt: off
    __slots__ = (
        "_body", "_deadline", "_dispatching", "_eof", "_events", "_exchange", "_held", "_held_bytes", "_left",
        "_left_deadline", "_linger_bytes", "_phase", "_writable", "_write_deadline", "client",
        "codec", "congested", "limits", "local", "lost", "reading", "scheme", "server", "transport",
        "trusted", "upgraded", "write",
    )
    # fmt: on

    tls: TLSInfo | None = None
    """What is known of the TLS connection, where it is one."""

    def __init__(self, server: Server, limits: ListenerLimits) -> None:
        self.server = server
        self.limits = limits
        """Those of the listener that it came by."""
        self.codec: Codec = Http1Codec(limits.heads, limits.simple_heads)
        self.transport: asyncio.Transport
        self.write: Callable[[bytes], None]
        """Sends bytes after those sent before."""
        self._held: list[bytes] = _NOTHING_HELD
        self._held_bytes = 0
        self.upgraded: Upgraded | None = None
        self.lost = False
        self.congested = False
        """Whether `drain` would wait."""
        self._exchange: Exchange | WebSocketExchange | None = None
        self._events: list[Event] | None = None  # of next requests, while others are acted on
        self._dispatching = False
        self._body: IncomingBody | None = None
        self.reading = True
        self._eof = False
        self._left = False
        self._left_deadline = math.inf
        self._phase = FIRST_BYTE
        self._deadline = math.inf
        self._write_deadline = math.inf
        self._writable: asyncio.Future[None] | None = None
        self._linger_bytes = 0
        self.client = self.local = _NOWHERE
        self.scheme = "http"
        self.trusted = False
        """Whether the peer is a proxy whose word about its clients counts."""

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the peer; one connection too many is told so and closed."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one, but does not inherit
        self.write = self.transport.write
        self._meet(transport)
        if transport.get_extra_info("ssl_object") is not None:
            self.scheme = "https"
        self._wait_for(FIRST_BYTE, self.limits.settings.first_byte_timeout_s)
        if status := self.server.add(self):
            whose = "from your address" if status == 429 else "for this server"
            self._refuse(status, f"too many connections {whose}", {"Retry-After": "1"})

    def data_received(self, data: bytes) -> None:
        """Feed the codec; a WebSocket gets its bytes itself."""
        if self.upgraded is not None:
            self.upgraded.data_received(data)
        elif self._phase is LINGER:
            self._linger_bytes += len(data)
            if self._linger_bytes > _LINGER_BYTES:
                self.transport.abort()
        else:
            codec = self.codec
            events = codec.feed(data)
            if len(events) != 1 or self._dispatching or codec.buffered_bytes:
                self._dispatch(events)
                return
            # What `_dispatch` does, in fewer steps, for what comes most: one request without a body, alone.
            [event] = events
            if not isinstance(event, RequestHead) or event.framing is not _NO_BODY:
                self._dispatch(events)
                return
            self._dispatching = True
            try:
                self._begin(event)
            finally:
                self._dispatching = False
            if self._events or not self.reading:
                self._dispatch([])

    def eof_received(self) -> bool:
        """Keep the connection open for writing while a response is owed (RFC 9112, 9.6)."""
        self._eof = True
        if self.upgraded is not None:
            self.upgraded.eof_received()
            return False
        if self._phase is LINGER:
            return False
        self._dispatch(self.codec.feed_eof())
        self._left_deadline = self.server.now + _HALF_CLOSED_GRACE_S
        return self._exchange is not None or self._lingers

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits for the client."""
        self.lost = True
        self._deadline = self._write_deadline = self._left_deadline = math.inf
        self.server.remove(self)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._body is not None:
            self._body.fail(ClientDisconnected("the client closed the connection"))
        if self.upgraded is not None:
            self.upgraded.connection_lost()
        if self._exchange is not None:
            self._exchange.disconnected()

    def pause_writing(self) -> None:
        """Make `drain` wait, and not for ever."""
        self.congested = True
        self._writable = asyncio.get_running_loop().create_future()
        self._write_deadline = self.server.now + self.limits.settings.write_timeout_s

    def resume_writing(self) -> None:
        """Let `drain` go on."""
        self.congested = False
        self._write_deadline = math.inf
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        if self.upgraded is not None:
            self.upgraded.writable()

    @property
    def requests(self) -> Iterable[Request]:
        """The requests that are being answered."""
        if self._exchange is not None:
            return (self._exchange.request,)
        return () if self.upgraded is None else self.upgraded.requests

    # What an exchange calls

    @property
    def client_left(self) -> bool:
        """Whether the client is gone, or has closed its side for a while, as most do only when they leave."""
        return self.lost or self._left or self.transport.is_closing()

    async def drain(self) -> None:
        """Wait while the client is slow to take what was written; raises ClientDisconnected if it left."""
        if self._writable is not None:
            # Shielded by a loop: several may wait for the one future.
            await asyncio.shield(self._writable)
        if self.lost or self.transport.is_closing():
            raise ClientDisconnected("the client closed the connection")

    def extend(self, seconds: float) -> None:
        """Give the application at least `seconds` from now on to begin its response."""
        if self._phase is HANDLER:
            self._deadline = max(self._deadline, self.server.clock() + seconds)

    def sending(self) -> None:
        """Note that the response is on its way: from here only a stalled client is timed out."""
        self._wait_for(SENDING, math.inf)

    def settle_close(self) -> None:
        """Decide, before a response's head is rendered, whether the connection must end with it.

        It must where the rest of the request body would have to be read for nothing.
        """
        if self._body is None and not self._eof and not self.server.draining:
            return
        exchange = self._exchange
        if self.server.draining or (self._eof and not self.codec.buffered_bytes):
            self.codec.close_after_response()
        if self.codec.request_complete or not isinstance(exchange, Exchange) or self._body is None:
            return
        head = exchange.head
        waits_for_100 = head.expect_continue and not exchange.continued
        if (
            self._body.failed
            or waits_for_100
            or head.framing is Framing.CHUNKED
            or head.length > _DRAINED_BODY_BYTES
        ):
            self.codec.close_after_response()

    def answered(self) -> None:
        """Go on after a complete response: to the next request, or to closing the connection."""
        codec = self.codec
        if self.lost:
            self._exchange = None
        elif not codec.keep_alive:
            self._exchange = None
            self._close()
        elif codec.request_complete:
            self._exchange = self._body = None
            self._phase = IDLE
            self._deadline = self.limits.idle_deadline
            events = codec.next_request()
            if events or (not self._dispatching and (codec.buffered_bytes or self._eof or not self.reading)):
                self._dispatch(events)
        elif self._body is not None:
            self._body.discard()  # End will follow
            self._wait_for(REST, self.limits.settings.body_timeout_s)
            self._update_reading()

    def abort(self) -> None:
        """Cut the connection, so that the client sees that its response is incomplete."""
        self._release()
        self._exchange = None
        if not self.lost:
            self.transport.abort()

    def upgrade(self, upgraded: Upgraded) -> None:
        """Give a WebSocket, or HTTP/2, the bytes that follow, and those already read."""
        self.upgraded = upgraded
        self._wait_for(SENDING, math.inf)
        ahead = self.codec.switch()
        self.set_reading(True)
        if ahead:
            upgraded.data_received(ahead)
        if self._eof:
            upgraded.eof_received()

    def hand_over(self, keeper: Upgraded) -> bytes:
        """Leave the socket to another process; returns the bytes already read. `keeper` stands in for it."""
        self.upgraded = keeper
        self._wait_for(SENDING, math.inf)
        self.set_reading(False)
        return self.codec.switch()

    def hang_up(self) -> None:
        """Close after the last that there was to send by what took the place of HTTP/1."""
        self.upgraded = self._exchange = None
        if not self.lost:
            self._close()

    def set_reading(self, wanted: bool) -> None:
        """Read from the client, or leave its bytes to the kernel, so that it has to wait."""
        if wanted is not self.reading and not self.transport.is_closing():
            self.reading = wanted
            (self.transport.resume_reading if wanted else self.transport.pause_reading)()

    # What the server calls

    def tick(self, now: float) -> None:
        """Act on deadlines that have passed; called a few times a second."""
        uploads = self._body is not None and self._body.deadline < math.inf  # then the client may be slow
        if now >= self._write_deadline:
            self.transport.abort()
        elif self._body is not None:
            self._body.tick(now)
        if self.upgraded is not None:
            self.upgraded.tick(now)
        if now >= self._left_deadline:
            self._left_deadline = math.inf
            self._left = True
            if self._exchange is not None:
                self._exchange.left()
        if now < self._deadline:
            return
        self._deadline = math.inf
        if self._phase is HEAD:
            self._refuse(408, "the request head did not come in time")
        elif self._phase is HANDLER:
            if uploads:
                self._wait_for(HANDLER, self.limits.settings.handler_timeout_s)
            elif self._exchange is not None:
                self._exchange.time_out()
        elif self._phase is LINGER:
            self.transport.abort()
        else:
            self.transport.close()

    def wind_down(self, close_code: int) -> None:
        """End soon, after a response in progress or a short grace; a WebSocket with 1001 (stop) or 1012."""
        if self.upgraded is not None:
            self.upgraded.go_away(close_code)
        elif self._exchange is not None:
            self.codec.close_after_response()
            if self._exchange.done:
                self.transport.close()
            self._exchange.wind_down()
        elif self._phase is FIRST_BYTE:
            self._wait_for(self._phase, _FIRST_REQUEST_GRACE_S)
        elif self._phase is IDLE:
            self._wait_for(self._phase, _LATE_REQUEST_GRACE_S)

    def switch_to_http2(self, ahead: bytes) -> None:
        """Go on by HTTP/2, with what the client has sent of it."""
        from pierhead.transports.http2 import Http2Shell  # not for who is never asked to speak it

        self.upgrade(Http2Shell(self))
        if ahead:
            self.data_received(ahead)

    # Inside

    def _meet(self, transport: asyncio.BaseTransport) -> None:
        """Take note of who is at the other end, before the connection is counted."""
        self.client = peer_address(transport.get_extra_info("peername"))
        self.local = peer_address(transport.get_extra_info("sockname"))
        self.trusted = self.server.trusts(self.client)

    @property
    def _lingers(self) -> bool:
        return self._phase is LINGER

    def _dispatch(self, events: list[Event]) -> None:
        """Act on events in order; an exchange that ends at once adds those of the next request."""
        if self._dispatching:
            if events:
                self._events = (self._events or []) + events
            return
        self._dispatching = True
        if self.codec.buffered_bytes and self._held is _NOTHING_HELD:
            self._held = []  # what answers requests sent together leaves together
            self.write = self._hold
        try:
            while events or self._events:
                for event in events:
                    if isinstance(event, RequestHead):
                        self._begin(event)
                    else:
                        self._act(event)
                events, self._events = self._events or _NO_EVENTS, None
        finally:
            self._dispatching = False
            if self._held is not _NOTHING_HELD:
                self._release()
        codec = self.codec
        if self._exchange is None and (self._phase is IDLE or self._phase is FIRST_BYTE):
            if not codec.idle:
                self._wait_for(HEAD, self.limits.settings.head_timeout_s)
            elif self._eof:
                self.transport.close()
        if self._body is not None or codec.buffered_bytes or not self.reading:
            self._update_reading()

    def _hold(self, data: bytes) -> None:
        """Do what `write` does, but later; not much later."""
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _MOST_HELD_BYTES:
            self.transport.write(b"".join(self._held))  # so that a slow client is noticed
            self._held.clear()
            self._held_bytes = 0

    def _release(self) -> None:
        """Write what is held, and hold no more."""
        data = b"".join(self._held)
        self._held, self._held_bytes = _NOTHING_HELD, 0
        self.write = self.transport.write
        if data:
            self.transport.write(data)

    def _act(self, event: Data | End | Refused) -> None:
        if isinstance(event, Data):
            if self._body is not None:
                self._body.feed(event.data)
            if self._phase is HANDLER:  # an upload is no slow handler
                self.extend(self.limits.settings.handler_timeout_s)
        elif isinstance(event, End):
            if self._body is not None:
                self._body.finish(Headers.from_raw(event.trailers))
            if self._exchange is not None and self._exchange.done:
                self.answered()
        elif self._exchange is None:
            if event.__class__ is Http2Preface and self.tls is None and self.server.http2:
                self.switch_to_http2(event.data)
            else:
                self._refuse(event.status, event.reason)
        elif self._body is not None:
            self._fail_body(event)

    def _fail_body(self, refused: Refused) -> None:
        """Tell the application that the rest of the body will not come; the connection ends."""
        assert self._body is not None
        error: Exception
        if self._eof:
            error = ClientDisconnected("the client closed the connection inside the request body")
        else:
            error = HTTPError(refused.status, refused.reason)
        self._body.fail(error)
        if self._exchange is not None and self._exchange.done:
            self._exchange = None
            self._close()

    def _begin(self, head: RequestHead) -> None:
        server = self.server
        body = None
        if head.framing is not _NO_BODY:
            body = self.limits.make_body(self._go_on, self._update_reading)
        self._body = body
        request, extra = server.make_request(head, body, self)
        if head.upgrade != () and "websocket" in head.upgrade:
            from pierhead.transports.websocket import WebSocketExchange

            self._wait_for(HANDLER, self.limits.settings.handler_timeout_s)
            self._exchange = websocket = WebSocketExchange(self, request, head, extra)
            websocket.start()
            return
        self._exchange = exchange = Exchange(self, request, head, extra)
        exchange.start()
        if not (exchange.done or exchange.head_sent):
            self._phase = HANDLER
            self._deadline = self.limits.handler_deadline
            if exchange.extended_s:
                self.extend(exchange.extended_s)

    def _go_on(self) -> None:
        """Ask for the body of a request that waits for 100 (Continue)."""
        exchange = self._exchange
        if isinstance(exchange, Exchange) and exchange.head.expect_continue and not exchange.continued:
            exchange.continued = True
            if not self.lost and not exchange.head_sent:
                self.write(self.codec.go_on())

    def _refuse(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        """Answer what is no request, or comes too late, and close."""
        response = Response.problem(status, reason, headers=headers)
        self.codec.close_after_response()
        body = response.body
        assert isinstance(body, bytes)
        self.server.note(None, status, len(body), 0.0, self.client.host, reason)
        self.write(self.codec.respond(status, response.headers.raw, body, self.server.stamp))
        self._close()

    def _close(self) -> None:
        """Close once everything is written.

        Where the client may still be sending, its unread bytes would turn the close into a reset, and the
        reset could overtake the response: so the sending side is closed first (RFC 9112, 9.6).
        """
        self._release()
        if self._eof or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._wait_for(LINGER, _LINGER_S)
        self.set_reading(True)
        if not self.transport.is_closing():
            try:
                self.transport.write_eof()
            except OSError:  # the peer had what it wanted, and has reset the connection
                self.transport.abort()

    def _update_reading(self) -> None:
        if self.upgraded is None and not self.lost:
            body_full = self._body is not None and self._body.full
            ahead = self.codec.request_complete and self.codec.buffered_bytes > _PIPELINE_HIGH_WATER_BYTES
            self.set_reading(not (body_full or ahead))

    def _wait_for(self, phase: Phase, seconds: float) -> None:
        self._phase = phase
        self._deadline = self.server.now + seconds if seconds else math.inf
