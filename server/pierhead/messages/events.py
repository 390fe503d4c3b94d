"""Server-sent events: a response that goes on, event by event (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterable, AsyncIterator

from pierhead.messages.headers import HeaderItems, Headers
from pierhead.messages.response import Response

__all__ = ["ServerSentEvent", "event_stream"]

_LINE_END = re.compile(r"\r\n|\r|\n")
_KEEP_ALIVE = b": keep-alive\n\n"
_END = object()


@dataclasses.dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event. Raises ValueError for an `event` or `id` that cannot be sent."""

    data: str | None = None
    """What the client is told, of any number of lines; None sends no event, only the fields beside it."""
    event: str = ""
    """The kind of event that a listener asks for; "" is "message"."""
    id: str | None = None
    """What the client sends back as Last-Event-ID when it reconnects; without data it notes the id alone."""
    retry_ms: int | None = None
    """How long the client waits before it reconnects, from now on."""

    def __post_init__(self) -> None:
        """Check what would end a field, or which clients ignore."""
        if _LINE_END.search(self.event):
            raise ValueError(f"the event {self.event!r} has a line break: its name is one line")
        if self.id is not None and re.search(r"[\r\n\0]", self.id):
            raise ValueError(f"the id {self.id!r} has a line break or NUL: clients could not send it back")
        if self.retry_ms is not None and self.retry_ms < 0:
            raise ValueError(f"retry_ms is 0 or more, not {self.retry_ms}")

    def encode(self) -> bytes:
        """Return the event as it is sent."""
        lines = []
        if self.retry_ms is not None:
            lines.append(f"retry: {self.retry_ms}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.data is not None:
            if self.event:
                lines.append(f"event: {self.event}")
            lines += [f"data: {line}" for line in _LINE_END.split(self.data)]
        return ("\n".join(lines) + "\n\n").encode() if lines else b""


def event_stream(
    events: AsyncIterable[ServerSentEvent],
    *,
    retry_ms: int | None = None,
    keep_alive_s: float = 15.0,
    headers: HeaderItems | None = None,
) -> Response:
    """Answer with `events` as they come, and with a comment whenever none came for `keep_alive_s` seconds.

    The comments keep proxies and clients from taking silence for the end. The first piece leaves at once (it
    is the field `retry`, or a comment), so that the client knows that it is connected. A slow client is
    waited for, and `events` with it: what comes meanwhile is for its source to keep, or not. When the client
    leaves or the worker stops, the generator `events` is closed; a client that a worker leaves reconnects.
    """
    fields = Headers(headers or ())
    fields.setdefault("Content-Type", "text/event-stream; charset=utf-8")
    # no-transform: a proxy that compresses would hold events back (RFC 9111, 5.2.2.6)
    fields.setdefault("Cache-Control", "no-cache, no-transform")
    fields.setdefault("X-Accel-Buffering", "no")  # the same, in nginx's own words
    first = b": connected\n\n" if retry_ms is None else ServerSentEvent(retry_ms=retry_ms).encode()
    return Response(_encoded(events, first, keep_alive_s), 200, fields)


async def _encoded(
    events: AsyncIterable[ServerSentEvent], first: bytes, keep_alive_s: float
) -> AsyncIterator[bytes]:
    """Yield `first`, then each event, and comments between them."""
    iterator = aiter(events)
    step: asyncio.Future[ServerSentEvent | object] | None = None
    try:
        yield first
        while True:
            step = asyncio.ensure_future(_next(iterator))  # a task: waiting for it can stop and go on
            while not step.done():
                await asyncio.wait([step], timeout=keep_alive_s)
                if not step.done():
                    yield _KEEP_ALIVE
            event = step.result()
            if not isinstance(event, ServerSentEvent):
                return
            if encoded := event.encode():
                yield encoded
    finally:
        if step is not None and not step.done():
            step.cancel()
            await asyncio.wait([step])
        if hasattr(iterator, "aclose"):
            await iterator.aclose()


async def _next(iterator: AsyncIterator[ServerSentEvent]) -> ServerSentEvent | object:
    return await anext(iterator, _END)
