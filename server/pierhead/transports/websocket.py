"""A WebSocket on a connection: its queue of messages, back-pressure, heartbeat and closing."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from typing import TYPE_CHECKING, Protocol

from pierhead.errors import ClientDisconnected, WebSocketClosed
from pierhead.failures import log_failure
from pierhead.interfaces.conversation import converse
from pierhead.messages.headers import HeaderItems, Headers
from pierhead.messages.response import Response
from pierhead.messages.websocket import WebSocket
from pierhead.protocols.http1 import RequestHead, ResponseError
from pierhead.protocols.websocket import (
    Closed,
    Handshake,
    HandshakeError,
    Message,
    WebSocketCodec,
    WebSocketEvent,
    read_handshake,
)
from pierhead.transports.exchange import start_task

if TYPE_CHECKING:
    from pierhead.messages.request import Request
    from pierhead.transports.connection import HttpConnection

__all__ = ["WebSocketExchange", "WebSocketShell"]

_QUEUE_MESSAGES = 64
_QUEUE_BYTES = 1 << 20
_PIECE_BYTES = 64 << 10  # is decoded at one go, between two looks at the queue
_COMPRESSED_PIECE_BYTES = 4 << 10  # deflate at its best makes 1 byte into 1032
_CLOSE_TIMEOUT_S = 5.0


class WebSocketExchange:
    """Answers a request to upgrade to WebSocket, and lasts as long as the WebSocket does."""

    def __init__(self, connection: HttpConnection, request: Request, head: RequestHead, extra: bytes) -> None:
        """`extra` are field lines, rendered, that the response gets beside the application's."""
        self.done = False
        """Whether an ordinary response was sent instead."""
        self._connection = connection
        self._request = request
        self._head = head
        self._extra = extra
        self._status = 0
        self._timed_out = False
        self._shell: WebSocketShell | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = connection.server.clock()

    @property
    def request(self) -> Request:
        """The request that is answered."""
        return self._request

    def start(self) -> None:
        """Begin; the application decides about the handshake."""
        self._task = start_task(self._run())
        if not self._task.done():
            self._connection.limits.in_flight.keep(self._task)

    def disconnected(self) -> None:
        """Tell an application that has not answered the handshake; later the shell is told by itself."""
        if self._shell is not None:
            self._shell.connection_lost()

    def left(self) -> None:
        """Tell an application that has not answered the handshake of a client that has closed its side."""
        if self._shell is not None:
            self._shell.eof_received()

    def time_out(self) -> None:
        """Answer 504 to a handshake that the application leaves unanswered."""
        if self._task is not None:
            self._timed_out = True
            self._task.cancel()

    def wind_down(self) -> None:
        """Nothing to do before the handshake is answered; then it is the shell that is told."""

    async def _run(self) -> None:
        connection = self._connection
        server = connection.server
        try:
            await self._converse()
        except (ClientDisconnected, WebSocketClosed):
            pass
        except asyncio.CancelledError:
            if not self._timed_out or self._status:
                raise
            limit_s = connection.limits.settings.handler_timeout_s
            log_failure(self._request, "took longer than handler_timeout_s=%g", limit_s)
            self._request.refused = "the application did not answer in time"
            with contextlib.suppress(ClientDisconnected):
                self.respond(Response.problem(504, self._request.refused))
        finally:
            shell = self._shell
            sent = shell.sent_bytes if shell is not None else 0
            server.note(self._request, self._status, sent, server.clock() - self._started)
            await self._request.close()
            if self.done:
                connection.answered()
            elif shell is None or not shell.finish():
                connection.abort()

    async def _converse(self) -> None:
        try:
            handshake = read_handshake(self._head)
        except HandshakeError as error:
            self.respond(Response.problem(error.status, error.reason, headers=error.headers))
            return
        self._shell = WebSocketShell(self._connection, self, handshake)
        socket = WebSocket(self._request, self._shell, handshake.subprotocols)
        await converse(self._connection.limits.in_flight.application, socket)

    def respond(self, response: Response) -> None:
        """Send an ordinary response instead of 101; its body must be complete."""
        if not isinstance(response.body, bytes):
            raise ResponseError("a WebSocket is rejected with a response whose body is bytes")
        connection = self._connection
        if connection.lost:
            raise ClientDisconnected("the client closed the connection")
        connection.settle_close()
        data = connection.codec.respond(
            response.status, response.headers.raw, response.body, connection.server.stamp + self._extra
        )
        self._status = response.status
        self.done = True
        connection.sending()
        connection.write(data)

    def accepted(self) -> None:
        """Note that the 101 response was sent."""
        self._status = 101


class Answering(Protocol):
    """What a shell asks of who answers the handshake."""

    def respond(self, response: Response) -> None:
        """Send an ordinary response instead of 101."""

    def accepted(self) -> None:
        """Note that the 101 response was sent."""


class WebSocketShell:
    """Moves the messages of one WebSocket; implements `pierhead.messages.websocket.WebSocketChannel`."""

    requests: tuple[Request, ...] = ()
    """None but its own, which is the exchange's."""

    def __init__(self, connection: HttpConnection, exchange: Answering, handshake: Handshake) -> None:
        self.sent_bytes = 0
        self._connection = connection
        self._exchange = exchange
        self._handshake = handshake
        self._codec: WebSocketCodec | None = None
        self._queue: deque[str | bytes] = deque()
        self._queue_bytes = 0
        self._ahead = bytearray()  # was read, and is decoded once the queue has room
        self._piece_bytes = _PIECE_BYTES
        self._choked = False  # pongs wait for the peer, so that its pings have to wait too
        self._closed: WebSocketClosed | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._heard_from = False  # since the last tick
        self._ping_at = math.inf
        self._dead_at = math.inf
        self._reply_at = math.inf

    # WebSocketChannel

    async def accept(self, subprotocol: str | None, headers: HeaderItems) -> None:
        """Send the 101 response; see WebSocketChannel."""
        connection = self._connection
        if connection.lost:
            raise WebSocketClosed(1006, "the client went away")
        settings = connection.limits.settings
        response, deflate = self._handshake.accept(
            subprotocol,
            Headers(headers).raw,
            connection.server.stamp,
            deflate=settings.websocket_compression,
        )
        self._codec = WebSocketCodec(
            settings.max_websocket_message_bytes, deflate, max_fragments=settings.max_websocket_fragments
        )
        if deflate is not None:
            self._piece_bytes = _COMPRESSED_PIECE_BYTES
        self._exchange.accepted()
        connection.write(response)
        self._heard()
        connection.upgrade(self)
        if connection.server.draining:
            self.go_away(connection.server.close_code)

    async def reject(self, response: Response) -> None:
        """Send an ordinary response; see WebSocketChannel."""
        self._exchange.respond(response)

    async def disconnect(self) -> None:
        """Wait until the client has left; see WebSocketChannel."""
        while self._closed is None:
            await self._wait()
        raise self._closed

    async def receive(self) -> str | bytes:
        """Return the next message; see WebSocketChannel."""
        while not self._queue:
            if self._closed is not None:
                self._reply()
                raise self._closed
            await self._wait()
        message = self._queue.popleft()
        self._queue_bytes -= len(message)
        if self._ahead:
            self._decode()
        if not self._connection.reading:
            self._update_reading()
        return message

    async def send(self, message: str | bytes) -> None:
        """Send a message; see WebSocketChannel."""
        codec = self._open_codec()
        if self._closed is not None and not codec.closed:
            raise self._closed  # without a close frame: nobody is there to receive
        data = codec.message(message)
        if not data or self._connection.lost:
            raise self._closed or WebSocketClosed(1006, "the WebSocket is closing")
        self.sent_bytes += len(data)
        self._connection.write(data)
        if self._connection.congested:
            await self._drain()

    async def ping(self, payload: bytes) -> None:
        """Send a ping; see WebSocketChannel."""
        self._connection.write(self._open_codec().ping(payload))
        await self._drain()

    async def close(self, code: int, reason: str) -> None:
        """Close and wait for the peer's close, for a few seconds at the most; see WebSocketChannel."""
        if self._closed is not None:
            return
        self._connection.write(self._open_codec().close(code, reason))
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                while self._closed is None:
                    self._queue.clear()  # nobody reads what came before the peer's close
                    self._queue_bytes = 0
                    if self._ahead:
                        self._decode()
                    else:
                        self._update_reading()
                        await self._wait()
        except TimeoutError:
            self._end(WebSocketClosed(1006, "the peer did not answer the close"))
            self._connection.abort()

    # What gives the connection away calls

    @property
    def connection(self) -> HttpConnection:
        """The connection that it is on."""
        return self._connection

    @property
    def handshake(self) -> Handshake:
        """The handshake that it began with."""
        return self._handshake

    def given_away(self) -> None:
        """Note that another process accepts the handshake, and goes on from there."""
        self._exchange.accepted()

    # What the connection calls

    def data_received(self, data: bytes) -> None:
        """Decode what came."""
        self._heard_from = True
        if not self._ahead and len(data) <= self._piece_bytes:
            self._feed(data)
        else:
            self._ahead += data
            self._decode()
        if self._full or self._choked:
            self._update_reading()

    def writable(self) -> None:
        """Go on reading: the peer has taken what it was sent."""
        self._choked = False
        self._update_reading()

    def eof_received(self) -> None:
        """Take the end of the peer's bytes; without a close frame before, it is no clean close."""
        self._end(WebSocketClosed(1006, "the peer closed the connection"))

    def connection_lost(self) -> None:
        """Take the loss of the connection."""
        self._end(WebSocketClosed(1006, "the connection was lost"))

    def tick(self, now: float) -> None:
        """Ping a peer that is silent; give up on one that does not answer."""
        if now >= self._reply_at:
            self._reply()
        if self._heard_from or self._full or self._connection.congested:
            self._heard()  # it is alive; or its pong could not be read, or the ping not be sent
        elif now >= self._dead_at:
            self._end(WebSocketClosed(1006, "the peer did not answer a ping"))
            self._connection.abort()
        elif now >= self._ping_at:
            self._ping_at = math.inf
            self._dead_at = now + self._connection.limits.settings.websocket_ping_timeout_s
            self._connection.write(self._open_codec().ping())

    def go_away(self, code: int) -> None:
        """Send a close frame for the server that leaves; the handler learns of it when the peer answers."""
        reason = "the server restarts" if code == 1012 else "the server stops"
        self._connection.write(self._open_codec().close(code, reason))
        self._ping_at = math.inf
        self._dead_at = self._connection.server.now + _CLOSE_TIMEOUT_S

    def finish(self) -> bool:
        """Close the connection after the conversation; False where no closing handshake took place."""
        if self._codec is None or not self._codec.closed:
            return False
        self._reply()
        self._connection.hang_up()
        return True

    # Inside

    def _open_codec(self) -> WebSocketCodec:
        if self._codec is None:
            raise RuntimeError("the WebSocket is not accepted yet")
        return self._codec

    @property
    def _full(self) -> bool:
        """Whether enough messages wait for the handler."""
        return len(self._queue) >= _QUEUE_MESSAGES or self._queue_bytes >= _QUEUE_BYTES

    def _decode(self) -> None:
        """Decode what was read, until the queue is full."""
        while self._ahead and not self._full:
            piece = bytes(self._ahead[: self._piece_bytes])
            del self._ahead[: self._piece_bytes]
            self._feed(piece)

    def _feed(self, data: bytes) -> None:
        codec = self._open_codec()
        events = codec.feed(data)
        output = codec.take_output()
        if output and not self._connection.transport.is_closing():
            self._connection.write(output)
            self._choked = self._connection.congested
        for event in events:
            self._act(event)

    def _act(self, event: WebSocketEvent) -> None:
        if isinstance(event, Message):
            self._queue.append(event.data)
            self._queue_bytes += len(event.data)
            self._wake()
        elif isinstance(event, Closed):
            self._end(WebSocketClosed(event.code, event.reason))
            if self._queue:  # what came before is for the handler to answer first
                self._reply_at = self._connection.server.now + _CLOSE_TIMEOUT_S
            else:
                self._reply()

    def _reply(self) -> None:
        """Send the close frame that is owed to the peer, if any."""
        self._reply_at = math.inf
        data = self._codec.finish() if self._codec is not None else b""
        if data and not self._connection.transport.is_closing():
            self._connection.write(data)

    def _heard(self) -> None:
        """Put the next ping off: the peer is alive."""
        self._heard_from = False
        settings = self._connection.limits.settings
        interval = settings.websocket_ping_interval_s
        if self._codec is not None and not self._codec.close_sent and interval:
            self._ping_at = self._connection.server.now + interval
            self._dead_at = math.inf

    def _end(self, closed: WebSocketClosed) -> None:
        if self._closed is None:
            self._closed = closed
            self._ping_at = self._dead_at = math.inf
            self._wake()

    async def _drain(self) -> None:
        try:
            await self._connection.drain()
        except ClientDisconnected:
            raise self._closed or WebSocketClosed(1006, "the connection was lost") from None

    async def _wait(self) -> None:
        """Wait until something came; each who waits has a future of their own, which may be cancelled."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        if self._waiters:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters.clear()

    def _update_reading(self) -> None:
        if not self._connection.lost:
            self._connection.set_reading(not (self._full or self._choked))
