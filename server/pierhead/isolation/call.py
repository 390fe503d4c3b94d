"""A call: one request that a process of the pool answers, as the worker sees it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.interfaces.additions import with_additions
from pierhead.interfaces.collect import CollectedResponse
from pierhead.interfaces.spool import spooled_body
from pierhead.isolation.errand import Errand
from pierhead.isolation.facts import fields_of, request_facts, texts_of
from pierhead.isolation.frames import Kind
from pierhead.isolation.pool import Busy
from pierhead.messages.files import FileBody
from pierhead.messages.response import Response
from pierhead.transports.exchange import Exchange

if TYPE_CHECKING:
    from pierhead.isolation.frames import Frame
    from pierhead.isolation.pool import Pool, PooledProcess
    from pierhead.messages.channel import ResponseChannel
    from pierhead.messages.request import Request
    from pierhead.messages.uploads import Upload

__all__ = ["answer", "busy", "lease"]

_tasks: set[asyncio.Task[None]] = set()


async def answer(pool: Pool, request: Request) -> Response | None:
    """Have a process answer a request; see `pierhead.interfaces.base.Application.respond`.

    Its body is there before a process is taken, so that none waits for a slow client: in the first frame
    while it is small, else in a file. Only a body of no announced length is passed on as it comes.
    """
    channel = request.channel
    if channel is None:
        collected = CollectedResponse()
        request.channel = collected
        response = await answer(pool, request)
        return collected.response() if response is None else response
    gone = asyncio.ensure_future(channel.disconnect())
    body: Upload | None = None
    try:
        streamed = request._body is None and request._reader is not None and request.content_length is None
        if not streamed and (request._reader is not None or request._body is not None):
            body = await spooled_body(request)
        call = _Call(pool, request, channel, body, streamed=streamed)
        return await call.run(gone)
    except Busy:
        return with_additions(request, busy(request))
    except HTTPError as error:  # of the body
        problem = Response.problem(error.status, error.detail, headers=error.headers)
        return with_additions(request, problem)
    finally:
        gone.cancel()
        if body is not None:
            body.close()


def busy(request: Request) -> Response:
    """Return what is answered where no process is free in time."""
    request.refused = "all processes are busy"
    return Response.problem(503, request.refused, headers={"Retry-After": "1"})


class _Call:
    def __init__(
        self, pool: Pool, request: Request, channel: ResponseChannel, body: Upload | None, *, streamed: bool
    ) -> None:
        self._pool = pool
        self._request = request
        self._channel = channel
        self._body = body
        self._streamed = streamed
        self._pump: asyncio.Task[None] | None = None
        self._errand: Errand

    async def run(self, gone: asyncio.Future[None]) -> Response | None:
        """Have it answered; raises Busy, and what `answer` raises."""
        process = await lease(self._pool, gone)
        self._errand = errand = Errand(process, self._request)
        told = process.pool.told

        def client_left(_: asyncio.Future[None]) -> None:
            if not gone.cancelled() and not self._channel.done:
                errand.forsake()

        over = False
        try:
            self._send()
            gone.add_done_callback(client_left)
            told.add(self._wind_down)
            response, over = await self._hear()
            return response
        except BaseException:
            if not over:
                errand.forsake()
            raise
        finally:
            gone.remove_done_callback(client_left)
            told.discard(self._wind_down)
            if self._pump is not None:
                self._pump.cancel()
                await asyncio.wait([self._pump])
            if over:
                errand.finished()
            elif errand.is_over:
                errand.dismiss()
            else:
                task = asyncio.ensure_future(_see_off(errand))
                _tasks.add(task)
                task.add_done_callback(_tasks.discard)

    def _wind_down(self) -> None:
        """End an event stream: its client comes again, to the code that is reloaded."""
        if isinstance(self._channel, Exchange):
            self._channel.wind_down()

    def _send(self) -> None:
        facts = request_facts(self._request)
        link = self._errand.link
        if self._streamed:
            link.send(Kind.REQUEST, facts | {"body": "pieces"})
            self._pump = asyncio.ensure_future(self._pass_body_on())
        elif self._body is None:
            link.send(Kind.REQUEST, facts | {"body": "none"})
        elif self._body.in_memory:
            link.send(Kind.REQUEST, facts | {"body": "whole"}, self._body.file.read())
        else:
            link.send(Kind.REQUEST, facts | {"body": "file"}, files=[self._body.file.fileno()])

    async def _pass_body_on(self) -> None:
        link = self._errand.link
        with contextlib.suppress(ConnectionError):  # the process is gone, or the client is
            try:
                async for piece in self._request.stream():
                    link.send(Kind.PIECE, data=piece)
                    self._errand.be_patient()
                    await link.drain()
                link.send(Kind.END, {"trailers": texts_of(self._request.trailers.raw)})
            except ClientDisconnected:
                link.send(Kind.BROKEN, {"status": 0, "reason": ""})
            except HTTPError as error:
                link.send(Kind.BROKEN, {"status": error.status, "reason": error.detail})

    async def _hear(self) -> tuple[Response | None, bool]:
        """Return the response, None where it was sent, and whether the process is done."""
        channel, errand = self._channel, self._errand
        while (frame := await errand.hear()) is not None:
            kind, facts = frame.kind, frame.facts
            if kind is Kind.RESPONSE:
                return _whole(frame), False
            if kind is Kind.HEAD:
                await channel.send(
                    Response.from_raw(facts["status"], fields_of(facts["fields"]), b""), more=True
                )
            elif kind is Kind.PIECE:
                await channel.write(frame.data)
            elif kind is Kind.END:
                trailers = facts["trailers"]
                await channel.end(None if trailers is None else fields_of(trailers))
                return None, False
            elif kind is Kind.HINT:
                channel.hint(fields_of(facts["fields"]))
            elif kind is Kind.BROKEN:
                return errand.broken(facts, started=channel.started), False
            elif kind is Kind.DONE:
                return errand.broken({"reason": "the application has not answered"}, started=False), True
        return await errand.failed(started=channel.started), False


def _whole(frame: Frame) -> Response:
    facts = frame.facts
    body: bytes | FileBody = frame.data
    if "file" in facts:
        path, offset, length, size, mtime_ns = facts["file"]
        body = FileBody(Path(path), offset, length, size, mtime_ns)
    return Response.from_raw(facts["status"], fields_of(facts["fields"]), body)


async def lease(pool: Pool, gone: asyncio.Future[None]) -> PooledProcess:
    """Return a process; raises Busy, and ClientDisconnected when the client leaves before there is one.

    `gone` is done when it has left.
    """
    process = pool.lease()
    if process is not None:
        return process
    turn = asyncio.ensure_future(pool.wait_in_line())
    events: list[asyncio.Future[Any]] = [turn, gone]
    try:
        await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
    except BaseException:
        if turn.done() and not turn.exception():
            process = turn.result()
            process.pool.release(process)
        raise
    finally:
        if not turn.done():
            turn.cancel()
            await asyncio.wait([turn])
    if turn.cancelled():
        raise ClientDisconnected("the client closed the connection")
    return turn.result()


async def _see_off(errand: Errand) -> None:
    """Wait until a process has done what it does after its response."""
    while (frame := await errand.hear()) is not None:
        if frame.kind is Kind.DONE:
            errand.finished()
            return
    with contextlib.suppress(ClientDisconnected):
        await errand.failed(started=False)
    errand.dismiss()
