"""Programs by FastCGI (FastCGI 1.0): requests to a responder, one at a time on a connection.

Connections are kept only where that is asked for: one that waits keeps a process of the program waiting. PHP,
for one, serves as many connections as it has processes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from pierhead.interfaces.gateway.application import Run
from pierhead.interfaces.gateway.errors import GatewayError
from pierhead.interfaces.gateway.idle import IdleConnections, Streams
from pierhead.interfaces.gateway.scripts import Script
from pierhead.interfaces.gateway.upstream import PIECE_BYTES, Connection, UpstreamApplication
from pierhead.messages.request import Request
from pierhead.messages.uploads import Upload
from pierhead.protocols.fastcgi import (
    BeginRequest,
    EndRequest,
    FastCGIError,
    ProtocolStatus,
    Record,
    RecordReader,
    RecordType,
    Role,
    encode_pairs,
    render,
    render_stream,
)

__all__ = ["FastCGIApplication"]

logger = logging.getLogger("pierhead.app")

_ID = 1
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
"""What may be sent a second time (RFC 9110, 9.2.2)."""
_REFUSALS: dict[int, tuple[int, str]] = {
    ProtocolStatus.OVERLOADED: (503, "it is overloaded"),
    ProtocolStatus.CANT_MPX_CONN: (502, "it takes one request at a time"),
    ProtocolStatus.UNKNOWN_ROLE: (502, "it is no responder"),
}


class FastCGIApplication(UpstreamApplication):
    """A program that answers FastCGI; see UpstreamApplication.

    In each worker up to `idle_connections` stay open for next requests. The program may close one at the very
    moment a request is sent on it: such a request is sent once more, on a new connection. So a request that
    must not be sent twice gets a new one from the start.
    """

    def __init__(self, url: str, *, idle_connections: int = 0, **options: Any) -> None:
        super().__init__(url, **options)
        self._idle = IdleConnections(min(idle_connections, self._connections))

    async def start(self) -> None:
        """Begin without connections in this worker; see Application."""
        await super().start()
        self._idle = IdleConnections(self._idle.most)

    async def stop(self) -> None:
        """Close the connections that wait; see Application."""
        self._idle.close()

    async def _open(
        self, request: Request, script: Script | None, variables: dict[str, str], body: Upload | None
    ) -> Run:
        # PHP that is told to (cgi.force_redirect) only answers what a web server has redirected to it.
        variables["REDIRECT_STATUS"] = "200"
        sent = partial(_sent, variables, body, keep_connection=self._idle.most > 0)
        await self._acquire()
        try:
            kept = None
            if request.method in _IDEMPOTENT:
                kept = self._idle.take()
            else:  # in the place of one that waits: the program may have no process for one more
                self._idle.shrink(len(self._idle) - 1)
            streams = kept or await self._connect()
        except BaseException:
            self._release()
            raise
        again = None if kept is None else self._connect
        return _FastCGIConnection(
            streams, sent, f"[{request.id}] {self.name}", self._release, self._idle, again
        )

    async def _connect(self) -> Streams:
        # Together with those that wait there are no more than may be: the program may not take any more.
        self._idle.shrink(self._connections - self._busy)
        return await super()._connect()


class _FastCGIConnection(Connection):
    """A request on its connection, whose output comes in records.

    `sent` begins to send it. Where the connection ends before any answer and there is `again`, which makes a
    new one, that is taken, once. In the end the connection goes to `idle`, if it can be used again.
    """

    def __init__(
        self,
        streams: Streams,
        sent: Callable[[], AsyncIterator[bytes]],
        name: str,
        ended: Callable[[], None],
        idle: IdleConnections,
        again: Callable[[], Awaitable[Streams]] | None,
    ) -> None:
        super().__init__(streams, sent(), name, ended)
        self._sent = sent
        self._idle = idle
        self._again = again
        self._records = RecordReader()
        self._output: list[bytes] = []
        self._ended = False
        self._surplus = False

    async def read(self) -> bytes:
        while not self._output and not self._ended:
            try:
                data = await super().read()
            except GatewayError:
                if self._again is None:
                    raise
                data = b""
            if not data and self._again is not None:
                await self._begin_again(self._again)
                continue
            if not data:
                raise GatewayError(502, "it closed the connection before its answer was complete")
            self._again = None
            try:
                for record in self._records.feed(data):
                    self._take(record)
            except FastCGIError as error:
                raise GatewayError(502, f"it does not speak FastCGI: {error}") from None
        output, self._output = b"".join(self._output), []
        return output

    async def _begin_again(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._again = None
        assert self._sending is not None
        self._sending.cancel()
        self._writer.transport.abort()
        await asyncio.wait({self._sending})
        self._reader, self._writer = await connect()
        self._sending = asyncio.ensure_future(self._send(self._sent()))

    def _release(self, sending: asyncio.Future[None]) -> None:
        if self._ended and sending.done() and not self._surplus and not self._records.buffered_bytes:
            self._idle.keep((self._reader, self._writer))
        else:
            super()._release(sending)

    def _take(self, record: Record) -> None:
        if record.request_id != _ID or self._ended:
            self._surplus = True
            return
        if record.type == RecordType.STDOUT and record.content:
            self._output.append(record.content)
        elif record.type == RecordType.STDERR:
            for line in record.content.decode("utf-8", "replace").splitlines():
                logger.warning("%s: %s", self._name, line)
        elif record.type == RecordType.END_REQUEST:
            self._ended = True
            end = EndRequest.decode(record.content)
            if end.protocol_status in _REFUSALS:
                raise GatewayError(*_REFUSALS[end.protocol_status])
            if end.app_status:
                logger.error("%s: exited with %d", self._name, end.app_status)


async def _sent(
    variables: Mapping[str, str], body: Upload | None, *, keep_connection: bool
) -> AsyncIterator[bytes]:
    """Yield the records of a request."""
    if body is not None:
        await body.seek(0)
    pairs = [
        (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in variables.items()
    ]
    head = render(RecordType.BEGIN_REQUEST, _ID, BeginRequest(Role.RESPONDER, keep_connection).encode())
    head += render_stream(RecordType.PARAMS, _ID, encode_pairs(pairs))
    yield head + render(RecordType.PARAMS, _ID)
    while body is not None and (piece := await body.read(PIECE_BYTES)):
        yield render_stream(RecordType.STDIN, _ID, piece)
    yield render(RecordType.STDIN, _ID)
