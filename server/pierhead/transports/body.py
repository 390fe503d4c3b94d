"""A request body on its way from the connection to the application, with back-pressure."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pierhead.errors import HTTPError
from pierhead.messages.body import BodyLimits
from pierhead.messages.headers import Headers

if TYPE_CHECKING:
    from pierhead.config import Settings

__all__ = ["HIGH_WATER_BYTES", "IncomingBody", "body_limits"]

HIGH_WATER_BYTES = 256 << 10
"""How much of a body waits for the application before the client is made to wait."""


class IncomingBody:
    """Implements `pierhead.messages.body.BodyReader` on what a connection feeds to it.

    `started` is called before the first wait (it sends 100 Continue), `changed` whenever the amount that
    waits here changed, so that the connection can pause or resume reading.
    """

    __slots__ = (
        "_changed",
        "_discarding",
        "_ended",
        "_error",
        "_pieces",
        "_started",
        "_waited_s",
        "_waiter",
        "buffered_bytes",
        "deadline",
        "min_rate",
        "received_bytes",
        "timeout_s",
        "trailers",
    )

    def __init__(
        self, started: Callable[[], None], changed: Callable[[], None], timeout_s: float, min_rate: int = 0
    ) -> None:
        self._pieces: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._ended = False
        self._discarding = False
        self._started: Callable[[], None] | None = started
        self._changed = changed
        self.buffered_bytes = 0
        self.trailers = Headers()
        self.received_bytes = 0
        self.timeout_s = timeout_s
        self.min_rate = min_rate
        """Bytes per second that all waiting but the first `timeout_s` must have brought; 0: any."""
        self._waited_s = 0.0
        self.deadline = math.inf
        """When a wait for the next piece fails with 408; infinite while nobody waits."""

    @property
    def failed(self) -> bool:
        """Whether the body will never be complete."""
        return self._error is not None

    @property
    def full(self) -> bool:
        """Whether the client should wait before it sends more."""
        return self.buffered_bytes >= HIGH_WATER_BYTES

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end; see BodyReader for the errors."""
        if not self._pieces and not self._ended and self._error is None:
            if self._started is not None:
                self._started()
                self._started = None
            self._waiter = asyncio.get_running_loop().create_future()
            began = time.monotonic()
            self.deadline = began + self._patience_s()
            try:
                await self._waiter
            finally:
                self._waiter = None
                self.deadline = math.inf
                self._waited_s += time.monotonic() - began
        if self._pieces:
            piece = self._pieces.popleft()
            self.buffered_bytes -= len(piece)
            self._changed()
            return piece
        if self._error is not None:
            raise self._error
        return b""

    def feed(self, data: bytes) -> None:
        """Take the next piece from the connection."""
        if self._discarding:
            return
        self._pieces.append(data)
        self.buffered_bytes += len(data)
        self.received_bytes += len(data)
        self._wake()
        self._changed()

    def finish(self, trailers: Headers) -> None:
        """Take the end of the body from the connection."""
        self.trailers = trailers
        self._ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """Have the reader raise `error` once it has read what came before it."""
        if not self._ended and self._error is None:
            self._error = error
            self._wake()

    def tick(self, now: float) -> None:
        """Fail with 408 where the next piece did not come in time."""
        if now >= self.deadline:
            self.deadline = math.inf
            self.fail(HTTPError(408, "the request body stopped coming, or came too slowly"))

    def discard(self) -> None:
        """Drop what waits here and all that follows: the response is out, nobody reads any more."""
        self._discarding = True
        self._pieces.clear()
        self.buffered_bytes = 0

    def _patience_s(self) -> float:
        """Return how long to wait for the next piece: who brought much before may take longer in all."""
        if not self.min_rate:
            return self.timeout_s
        left_s = self.timeout_s + self.received_bytes / self.min_rate - self._waited_s
        return max(0.0, min(self.timeout_s, left_s))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def body_limits(settings: Settings) -> BodyLimits:
    """Return what the settings say about how much of a body may be held."""
    return BodyLimits(
        max_buffered_body_bytes=settings.max_buffered_body_bytes,
        max_spool_memory_bytes=settings.max_spool_memory_bytes,
        max_form_files=settings.max_form_files,
        max_form_fields=settings.max_form_fields,
        max_form_memory_bytes=settings.max_form_memory_bytes,
        spool_dir=settings.spool_dir,
    )
