"""Answering one request in an isolated process: its body comes over the link, and its response goes back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, Awaitable
from typing import TYPE_CHECKING, Any

from pierhead.errors import ClientDisconnected, HTTPError
from pierhead.failures import log_failure
from pierhead.isolation.facts import fields_of, make_request, texts_of
from pierhead.isolation.frames import Frame, Kind
from pierhead.messages.body import BodyReader, SpooledBody
from pierhead.messages.files import FileBody
from pierhead.messages.headers import Headers, RawHeaders
from pierhead.messages.response import Response
from pierhead.transports.body import IncomingBody

if TYPE_CHECKING:
    from pierhead.interfaces.base import Application
    from pierhead.isolation.link import Link

__all__ = ["WHOLE_BYTES", "Answer"]

WHOLE_BYTES = 256 << 10
"""A body up to this goes over the link in one frame; a longer one in pieces of this size."""
_BODILESS = frozenset({204, 205, 304})


class Answer:
    """One request and its response; implements `pierhead.messages.channel.ResponseChannel` on the link."""

    def __init__(self, link: Link, application: Application, frame: Frame) -> None:
        self.started = False
        self.done = False
        self.client_left = False
        self._link = link
        self._application = application
        self._body: IncomingBody | None = None
        self._room = asyncio.Event()
        self._over = asyncio.Event()
        self.request = make_request(frame.facts, self._reader(frame))
        self.request.channel = self

    def _reader(self, frame: Frame) -> BodyReader | None:
        kind = frame.facts["body"]
        if kind == "file":
            return SpooledBody(os.fdopen(self._link.take_file(), "rb"))
        if kind == "none":
            return None
        self._body = IncomingBody(_nothing, self._changed, timeout_s=0.0)
        if kind == "whole":
            if frame.data:
                self._body.feed(frame.data)
            self._body.finish(Headers())
        return self._body

    # What the process calls

    async def run(self) -> dict[str, Any]:
        """Have the application answer, whatever happens meanwhile."""
        try:
            response = await self._application.respond(self.request)
            if response is not None:
                await self.send(response)
            elif not self.done:
                self._fail("the application has not answered")
        except (ClientDisconnected, asyncio.CancelledError):
            if not self.client_left:
                self._fail("the response was given up")
        except Exception:  # noqa: BLE001 - whatever fails in an application is logged
            log_failure(self.request, "response body failed", exc_info=True)
            self._fail("the response's body failed")
        self._finish()
        await self.request.close()
        if isinstance(self.request._reader, SpooledBody):
            self.request._reader.file.close()
        return {}

    async def take(self, frame: Frame) -> None:
        """Take what belongs to the request's body."""
        body = self._body
        if body is None:
            return
        if frame.kind is Kind.PIECE:
            body.feed(frame.data)
            while body.full and not self._over.is_set():
                self._room.clear()
                await self._room.wait()
        elif frame.kind is Kind.END:
            body.finish(Headers.from_raw(fields_of(frame.facts["trailers"])))
        elif frame.kind is Kind.BROKEN:
            status = frame.facts["status"]
            left = ClientDisconnected("the client closed the connection")
            body.fail(HTTPError(status, frame.facts["reason"]) if status else left)

    def leave(self) -> None:
        """Take note that nobody waits for the response any more."""
        self.client_left = True
        if self._body is not None:
            self._body.fail(ClientDisconnected("the client closed the connection"))
        self._finish()

    # ResponseChannel

    def hint(self, fields: RawHeaders) -> None:
        """Send 103 (Early Hints); see ResponseChannel."""
        if not self.started:
            self._link.send(Kind.HINT, {"fields": texts_of(fields)})

    def extend(self, seconds: float) -> None:
        """Ask for more time; see ResponseChannel."""
        self._link.send(Kind.EXTEND, {"seconds": seconds})

    def answer(self, status: int, fields: RawHeaders, body: bytes) -> Awaitable[None]:
        """Send a whole response; see ResponseChannel."""
        return self.send(Response.from_raw(status, fields, body))

    async def send(self, response: Response, *, more: bool = False) -> None:
        """Send a response, or with `more` its beginning; see ResponseChannel."""
        self._check_reader()
        body = response.body
        facts: dict[str, Any] = {"status": response.status, "fields": texts_of(response.headers.raw)}
        self.started = True
        if isinstance(body, bytes) and not more:
            if len(body) <= WHOLE_BYTES:
                self._link.send(Kind.RESPONSE, facts, body)
            else:
                if "Content-Length" not in response.headers and response.status not in _BODILESS:
                    facts["fields"].append(["Content-Length", str(len(body))])
                self._link.send(Kind.HEAD, facts)
                await self.write(body)
                self._link.send(Kind.END, {"trailers": None})
        elif isinstance(body, bytes):
            self._link.send(Kind.HEAD, facts)
            await self.write(body)
            return
        elif isinstance(body, FileBody):
            place = [str(body.path.absolute()), body.offset, body.length, body.size, body.mtime_ns]
            self._link.send(Kind.RESPONSE, facts | {"file": place})
        else:
            self._link.send(Kind.HEAD, facts)
            await self._stream(body)
            self._link.send(Kind.END, {"trailers": None})
        self._finish()

    async def write(self, piece: bytes) -> None:
        """Send a further piece; see ResponseChannel."""
        self._check_reader()
        for begin in range(0, len(piece), WHOLE_BYTES):
            self._link.send(Kind.PIECE, data=piece[begin : begin + WHOLE_BYTES])
            await self._drain()

    async def end(self, trailers: RawHeaders | None = None) -> None:
        """Complete the response; see ResponseChannel."""
        self._check_reader()
        self._link.send(Kind.END, {"trailers": None if trailers is None else texts_of(trailers)})
        self._finish()

    async def disconnect(self) -> None:
        """Wait until nobody reads any more; see ResponseChannel."""
        await self._over.wait()

    # Inside

    async def _stream(self, pieces: AsyncIterable[bytes]) -> None:
        try:
            if self.request.method != "HEAD":
                async for piece in pieces:
                    await self.write(piece)
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()

    async def _drain(self) -> None:
        try:
            await self._link.drain()
        except ConnectionError:
            raise ClientDisconnected("the worker is gone") from None

    def _check_reader(self) -> None:
        if self.client_left:
            raise ClientDisconnected("the client closed the connection")
        if self.done:
            raise ClientDisconnected("the response is complete: nobody reads what follows")

    def _fail(self, reason: str) -> None:
        """Have the worker answer 500, or cut what was begun."""
        if not self.done:
            self._link.send(Kind.BROKEN, {"reason": reason})

    def _changed(self) -> None:
        if self._body is not None and not self._body.full:
            self._room.set()

    def _finish(self) -> None:
        self.done = True
        self._over.set()
        self._room.set()
        if self._body is not None:
            self._body.discard()


def _nothing() -> None:
    """Do nothing."""
