"""A response that an application sends piece by piece, for who has to have it as a whole."""

from __future__ import annotations

import asyncio

from pierhead.messages.headers import RawHeaders
from pierhead.messages.response import Response

__all__ = ["CollectedResponse"]


class CollectedResponse:
    """Implements `pierhead.messages.channel.ResponseChannel` in memory, for a client that never leaves."""

    def __init__(self) -> None:
        self.client_left = False
        self._complete = asyncio.Event()
        self._response: Response | None = None
        self._pieces: list[bytes] = []

    @property
    def done(self) -> bool:
        """Whether the response is complete."""
        return self._complete.is_set()

    @property
    def started(self) -> bool:
        """Whether a response was begun."""
        return self._response is not None

    def response(self) -> Response | None:
        """Return the response as far as it came, None where none was begun."""
        if self._response is not None and self._pieces:
            self._response.body = b"".join(self._pieces)
        return self._response

    def hint(self, fields: RawHeaders) -> None:
        """Leave the hint out: it would come too late."""

    def answer(self, status: int, fields: RawHeaders, body: bytes) -> None:
        """Take a whole response."""
        self._response = Response.from_raw(status, fields, body)
        self._complete.set()

    def extend(self, seconds: float) -> None:
        """Do nothing: nobody is in a hurry."""

    async def send(self, response: Response, *, more: bool = False) -> None:
        """Take the response."""
        self._response = response
        if not more:
            self._complete.set()
        elif isinstance(response.body, bytes):
            self._pieces.append(response.body)

    async def write(self, piece: bytes) -> None:
        """Take a piece."""
        self._pieces.append(piece)

    async def end(self, trailers: RawHeaders | None = None) -> None:
        """Take the end; a Response has no trailers."""
        self._complete.set()

    async def disconnect(self) -> None:
        """Wait until the response is complete."""
        await self._complete.wait()
