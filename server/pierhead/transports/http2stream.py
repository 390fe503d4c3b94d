"""One stream of an HTTP/2 connection: its request, its body on the way in, and what its exchange asks for."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes

from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.messages.headers import Headers
from pierhead.protocols.http1 import Data, End, Framing, Refused, RequestHead
from pierhead.protocols.http2 import StreamCodec
from pierhead.transports.body import IncomingBody
from pierhead.transports.exchange import Exchange

if TYPE_CHECKING:
    from pierhead.messages.request import Request
    from pierhead.transports.http2 import Http2Shell

__all__ = ["Http2Stream"]

_HIGH_WATER_BYTES = 64 << 10  # of a body that waits for the client


class Http2Stream:
    """The client's side of one exchange; implements `pierhead.transports.carrier.Carrier`."""

    def __init__(self, shell: Http2Shell, codec: StreamCodec) -> None:
        self.server = shell.server
        self.limits = shell.limits
        self.codec = codec
        self.transport = shell.connection.transport
        self.lost = False
        self._shell = shell
        self._exchange: Exchange | None = None
        self._head: RequestHead | None = None
        self._body: IncomingBody | None = None
        self._unread_bytes = 0  # of the body's, when last looked at
        self._writable: asyncio.Future[None] | None = None
        self._handler_deadline = math.inf

    @property
    def request(self) -> Request | None:
        """The request that is answered."""
        return self._exchange.request if self._exchange is not None else None

    # What the shell calls

    def begin(self, head: RequestHead) -> None:
        """Start the exchange; an application that does not wait has answered when this returns."""
        if head.framing is not Framing.NONE:
            self._body = self.limits.make_body(self._go_on, self._consumed)
        self._head = head
        request, extra = self.server.make_request(head, self._body, self._shell.connection)
        self._handler_deadline = self.limits.handler_deadline
        self._exchange = exchange = Exchange(self, request, head, extra)
        exchange.start()

    def take(self, event: Data | End | Refused) -> None:
        """Take what follows of the request."""
        body = self._body
        if body is None:
            return
        if isinstance(event, Data):
            self._unread_bytes += len(event.data)
            body.feed(event.data)
            if self._handler_deadline != math.inf:  # an upload is no slow handler
                self._handler_deadline = self.limits.handler_deadline
        elif isinstance(event, End):
            body.finish(Headers.from_raw(event.trailers))
        else:
            body.fail(HTTPError(event.status, event.reason))

    def disconnected(self) -> None:
        """Take the end of the stream, or of the connection; the handler may still be at work."""
        self.lost = True
        self._handler_deadline = math.inf
        self.update()
        if self._body is not None:
            self._body.fail(ClientDisconnected("the client has reset the stream, or closed the connection"))
        if self._exchange is not None:
            self._exchange.disconnected()

    def update(self) -> None:
        """Let `drain` go on where it can."""
        if self._writable is not None and (self.lost or not self.congested):
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
            self._shell.waiting.discard(self)

    def tick(self, now: float) -> None:
        """Act on deadlines that have passed."""
        uploads = self._body is not None and self._body.deadline < math.inf
        if self._body is not None:
            self._body.tick(now)
        if now >= self._handler_deadline:
            if uploads:  # it is the client that is waited for, which has a deadline of its own
                self._handler_deadline = self.limits.handler_deadline
                return
            self._handler_deadline = math.inf
            if self._exchange is not None:
                self._exchange.time_out()

    def wind_down(self) -> None:
        """End an event stream."""
        if self._exchange is not None:
            self._exchange.wind_down()

    # What the exchange calls

    @property
    def congested(self) -> bool:
        """Whether `drain` would wait."""
        return self.codec.queued_bytes > _HIGH_WATER_BYTES or self._shell.connection.congested

    @property
    def client_left(self) -> bool:
        """Whether the stream was reset, or the client is gone."""
        return self.lost or self._shell.connection.client_left

    def write(self, data: bytes) -> None:
        """Send what the codec has rendered: it keeps it itself."""
        del data
        self._shell.commit(self.codec)

    async def drain(self) -> None:
        """Wait while the client is slow to take what was written; raises ClientDisconnected if it left."""
        while self.congested and not self.lost:
            if self._writable is None:
                self._writable = asyncio.get_running_loop().create_future()
                self._shell.waiting.add(self)
            await asyncio.shield(self._writable)
        if self.lost or self.transport.is_closing():
            raise ClientDisconnected("the client has reset the stream, or closed the connection")

    def extend(self, seconds: float) -> None:
        """Give the application at least `seconds` from now on to begin its response."""
        if self._handler_deadline != math.inf:
            self._handler_deadline = max(self._handler_deadline, self.server.clock() + seconds)

    def sending(self) -> None:
        """Note that the response is on its way: from here only a stalled client is timed out."""
        self._handler_deadline = math.inf

    def settle_close(self) -> None:
        """Decide nothing: a response never ends the connection."""

    def answered(self) -> None:
        """Let the rest of the response leave by itself, and drop what of the request nobody reads."""
        if self._body is not None:
            self._body.discard()
        self._end()

    def abort(self) -> None:
        """Reset the stream, so that the client sees that its response is incomplete."""
        if not self.lost:
            self.lost = True
            self._shell.reset(self.codec, ErrorCodes.INTERNAL_ERROR)
        self._end()

    # Inside

    def _end(self) -> None:
        self._handler_deadline = math.inf
        self._exchange = None
        self._shell.ended(self.codec.id)

    def _go_on(self) -> None:
        """Ask for the body of a request that waits for 100 (Continue)."""
        exchange, head = self._exchange, self._head
        assert head is not None
        if head.expect_continue and not self.lost and (exchange is None or not exchange.head_sent):
            self.codec.go_on()
            self._shell.commit(self.codec)

    def _consumed(self) -> None:
        """Have the client send as much more as the application has read."""
        body = self._body
        assert body is not None
        read = self._unread_bytes - body.buffered_bytes
        if read > 0:
            self._unread_bytes = body.buffered_bytes
            self._shell.consumed(self.codec, read)
