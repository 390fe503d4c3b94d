"""One request and its response: calls the application and writes what it answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pierhead.errors import ClientDisconnected
from pierhead.failures import log_failure
from pierhead.messages.files import FileBody, file_pieces
from pierhead.messages.headers import RawHeaders
from pierhead.messages.response import Response
from pierhead.protocols.http1 import RequestHead, ResponseError

if TYPE_CHECKING:
    from pierhead.messages.request import Request
    from pierhead.transports.carrier import Carrier

__all__ = ["Exchange", "start_task"]

_FILE_PIECE_BYTES = 256 << 10


_Task = asyncio.Task  # looking up what is in asyncio takes long
_running_loop = asyncio.get_running_loop
if sys.version_info >= (3, 12):

    def start_task(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `coroutine` as a task of its own; its part up to where it first waits runs at once."""
        # With the loop: eager tasks of Python 3.13.0 do not find it by themselves.
        return _Task(coroutine, loop=_running_loop(), eager_start=True)

else:

    def start_task(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `coroutine` as a task of its own, from the loop's next turn on: here it can't begin earlier."""
        return asyncio.get_running_loop().create_task(coroutine)


class Exchange:
    """Answers one request of a connection, whatever happens meanwhile.

    Implements `pierhead.messages.channel.ResponseChannel` for applications that do not return a response.
    """

    # Slots that are all set: Python sets an attribute that a class has a default for ten times more slowly.
    # fmt: off
    __slots__ = (
        "_body_bytes", "_connection", "_cut", "_endless", "_extra", "_left", "_request", "_started",
        "_status", "_streaming", "_task", "_timed_out", "continued", "done", "extended_s", "head",
        "head_sent",
    )
    # fmt: on

    def __init__(self, connection: Carrier, request: Request, head: RequestHead, extra: bytes) -> None:
        """`extra` are field lines, rendered, that the response gets beside the application's."""
        self.head = head
        self._connection = connection
        self._request = request
        self._extra = extra
        self._started = connection.server.clock()
        self._status = 0
        self._body_bytes = 0
        self.continued = False
        """Whether 100 (Continue) was sent."""
        self.extended_s = 0.0
        """What the application has asked for beyond handler_timeout_s, if anything."""
        self.head_sent = False
        self.done = False
        """Whether the response is complete."""
        self._task: asyncio.Task[None] | None = None
        self._left: asyncio.Future[None] | None = None
        self._streaming = False
        self._endless = False  # an event stream, which a stopping server may end at any event
        self._cut = False
        self._timed_out = False
        request.channel = self

    @property
    def request(self) -> Request:
        """The request that is answered."""
        return self._request

    def start(self) -> None:
        """Begin; an application that does not wait has answered when this returns."""
        task = start_task(self._run())
        if not task.done():
            self._task = task
            self._connection.limits.in_flight.keep(task)

    def disconnected(self) -> None:
        """End a response nobody reads any more. A handler that still works on it is let finish."""
        self.left()
        if self._streaming and self._task is not None:
            self._task.cancel()

    def left(self) -> None:
        """Tell who waits for the client to leave."""
        if self._left is not None and not self._left.done():
            self._left.set_result(None)

    def time_out(self) -> None:
        """Answer 504 in the place of a handler that takes too long."""
        if self._task is not None and not self.head_sent:
            self._timed_out = True
            self._task.cancel()

    def wind_down(self) -> None:
        """End an event stream cleanly: its client reconnects (to another worker) by itself."""
        if self._endless and self._task is not None and not self._cut:
            self._cut = True
            self._task.cancel()

    async def _run(self) -> None:
        connection = self._connection
        try:
            response = await connection.limits.respond(self._request)
            if response is not None:
                body = response.body
                if body.__class__ is bytes:  # what `send` does, for what is sent most
                    sending = self.answer(response.status, response.headers.raw, body)
                    if sending is not None:
                        await sending
                else:
                    await self.send(response)
            elif not self.done:
                raise ResponseError("the application has not answered")
        except asyncio.CancelledError:
            if not await self._settled():
                raise
        except ClientDisconnected:
            pass  # the record shows how far it came
        except ResponseError as error:
            log_failure(self._request, "response cannot be sent: %s", error)
            await self._send_problem(500)
        except SystemExit:
            # To leave would end the worker, and with it all that it is asked for; unless this is its child.
            if os.getpid() != connection.server.pid:
                raise
            log_failure(self._request, "the application wanted to exit", exc_info=True)
            await self._send_problem(500)
        except Exception:  # noqa: BLE001 - whatever the application's iterator raises
            log_failure(self._request, "response body failed", exc_info=True)
            await self._send_problem(500)
        finally:
            if not self.done:
                connection.abort()
                server = connection.server
                server.note(self._request, self._status, self._body_bytes, server.clock() - self._started)
            request = self._request
            request.channel = None  # or the two would only be freed by the collector
            if request.form_if_read is not None:
                await request.close()

    async def _settled(self) -> bool:
        """Complete what was cancelled from here; False where somebody else cancelled it."""
        if self._timed_out and not self.head_sent:
            limit = self._connection.limits.settings.handler_timeout_s
            log_failure(self._request, "took longer than handler_timeout_s=%g", limit)
            await self._send_problem(504, "the application did not answer in time")
            return True
        if self._cut and self.head_sent and not self.done:
            with contextlib.suppress(ClientDisconnected):
                await self.end()
            return True
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            log_failure(self._request, "the application was cancelled, but not from here")
            await self._send_problem(500)
            return True
        return False

    async def _send_problem(self, status: int, detail: str = "") -> None:
        """Send an error response where none of the other was sent."""
        if not self.head_sent:
            self._request.refused = detail
            with contextlib.suppress(ClientDisconnected):
                await self.send(Response.problem(status, detail))

    # ResponseChannel

    @property
    def started(self) -> bool:
        """Whether the head was sent; see ResponseChannel."""
        return self.head_sent

    @property
    def client_left(self) -> bool:
        """Whether nobody reads any more; see ResponseChannel."""
        return self._connection.client_left

    def hint(self, fields: RawHeaders) -> None:
        """Send 103 (Early Hints); see ResponseChannel."""
        connection = self._connection
        if not self.head_sent and not connection.lost and self.head.version != "1.0":
            connection.write(connection.codec.hint(fields))

    def extend(self, seconds: float) -> None:
        """Give the application more time; see ResponseChannel."""
        self.extended_s = seconds
        self._connection.extend(seconds)

    async def send(self, response: Response, *, more: bool = False) -> None:
        """Send a response, or with `more` its beginning; see ResponseChannel."""
        connection = self._connection
        codec = connection.codec
        body = response.body
        if (
            body.__class__ is not bytes
            and isinstance(body, FileBody)
            and (body.length <= _FILE_PIECE_BYTES or self.head.method == "HEAD")
        ):
            body = await asyncio.to_thread(_read_file, body)
        if isinstance(body, bytes) and not more:
            sending = self.answer(response.status, response.headers.raw, body)
            if sending is not None:
                await sending
            return
        self._check_reader()
        connection.settle_close()
        stamp = self._stamp(response.headers.raw)
        if isinstance(body, bytes):
            data = codec.start_response(response.status, response.headers.raw, stamp) + codec.data(body)
            self._endless = _is_event_stream(response)
            self._sent_head(response.status)
            self._body_bytes = 0 if self.head.method == "HEAD" else len(body)
            connection.write(data)
            await connection.drain()
            if connection.server.draining:
                self.wind_down()
            return
        pieces = file_pieces(body) if isinstance(body, FileBody) else body
        if not hasattr(pieces, "__aiter__"):
            kind = type(pieces).__name__
            raise ResponseError(f"a response's body is bytes, a file or an asynchronous iterable, not {kind}")
        try:
            data = codec.start_response(response.status, response.headers.raw, stamp)
            self._sent_head(response.status)
            connection.write(data)
            if self.head.method != "HEAD":
                self._endless = _is_event_stream(response)
                await self._stream(pieces)
            connection.write(codec.end())
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()
        await connection.drain()
        self._complete()

    def answer(self, status: int, fields: RawHeaders, body: bytes) -> Coroutine[Any, Any, None] | None:
        """Send a whole response, head and body in one write; see ResponseChannel."""
        connection = self._connection
        if connection.lost or self.done:
            self._check_reader()
        server = connection.server
        connection.settle_close()
        stamp = self._stamp(fields) if self._extra else server.stamp
        data = connection.codec.respond(status, fields, body, stamp)
        self.head_sent = True
        self._status = status
        if self.head.method != "HEAD":
            self._body_bytes = len(body)
        connection.write(data)
        if connection.congested:
            return self._wait_and_complete()
        self._complete()
        return None

    async def _wait_and_complete(self) -> None:
        self._connection.sending()
        await self._connection.drain()
        self._complete()

    def _stamp(self, fields: RawHeaders) -> bytes:
        """Return the field lines that the server adds: but one that the application has set itself."""
        server = self._connection.server
        if self._extra:
            name = server.request_id_name
            size = len(name)
            if not any(len(field) == size and field.lower() == name for field, _ in fields):
                return server.stamp + self._extra
        return server.stamp

    async def write(self, piece: bytes) -> None:
        """Send a further piece; see ResponseChannel."""
        self._check_reader()
        connection = self._connection
        connection.write(connection.codec.data(piece))
        if self.head.method != "HEAD":
            self._body_bytes += len(piece)
        if connection.congested or connection.transport.is_closing():
            await connection.drain()

    async def end(self, trailers: RawHeaders | None = None) -> None:
        """Complete the response; see ResponseChannel."""
        self._check_reader()
        connection = self._connection
        connection.write(connection.codec.end(trailers))
        await connection.drain()
        self._complete()

    async def disconnect(self) -> None:
        """Wait until nobody reads any more; see ResponseChannel."""
        if self.done or self._connection.client_left:
            return
        if self._left is None:
            self._left = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._left)  # several may wait for the one future

    def _check_reader(self) -> None:
        if self._connection.lost:
            if not self.head_sent:
                self._status = 499  # not sent: what logs call a client that did not wait
            raise ClientDisconnected("the client closed the connection")
        if self.done:
            raise ClientDisconnected("the response is complete: nobody reads what follows")

    def _complete(self) -> None:
        """Record the response and have the connection go on; an application may go on as well."""
        self.done = True
        if self._left is not None:
            self.left()
        connection = self._connection
        server = connection.server
        duration_s = server.clock() - self._started
        # What `Server.note` does, in one call less.
        server.meter.note(self._status, self._body_bytes, duration_s)
        if server.record is not None:
            server.record(self._request, self._status, self._body_bytes, duration_s)
        connection.answered()

    async def _stream(self, pieces: AsyncIterable[bytes]) -> None:
        connection = self._connection
        self._streaming = True
        try:
            if connection.server.draining:
                self.wind_down()
            async for piece in pieces:
                connection.write(connection.codec.data(piece))
                self._body_bytes += len(piece)
                if connection.congested or connection.transport.is_closing():
                    await connection.drain()
        except asyncio.CancelledError:
            if connection.lost:
                raise ClientDisconnected("the client closed the connection") from None
            if not self._cut:
                raise
            if self._task is not None:
                self._task.uncancel()
        finally:
            self._streaming = False

    def _sent_head(self, status: int) -> None:
        self.head_sent = True
        self._status = status
        self._connection.sending()


def _is_event_stream(response: Response) -> bool:
    return (response.headers.get("Content-Type") or "").startswith("text/event-stream")


def _read_file(body: FileBody) -> bytes:
    with Path(body.path).open("rb") as file:
        file.seek(body.offset)
        return file.read(body.length)
