"""The readers of a request body without `await`, for handlers that run in a worker thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pierhead.messages.params import FormData
    from pierhead.messages.request import Request

__all__ = ["BlockingBody"]

_T = TypeVar("_T")
_END: Any = object()


class BlockingBody:
    """Reads the body of `request` through the event loop that serves it, while the calling thread waits.

    Every reader returns and raises what its namesake of `Request` does. On the loop's own thread, where
    waiting would wait for itself, they raise RuntimeError.
    """

    __slots__ = ("_loop", "_request")

    def __init__(self, request: Request, loop: asyncio.AbstractEventLoop | None) -> None:
        self._request = request
        self._loop = loop

    def body(self) -> bytes:
        """Return the whole body."""
        return self._wait("body()", self._request.body)

    def text(self) -> str:
        """Return the body as text."""
        return self._wait("text()", self._request.text)

    def json(self) -> Any:
        """Return the body as what its JSON says."""
        return self._wait("json()", self._request.json)

    def form(self) -> FormData:
        """Return the form in the body; read its files through their `file`."""
        return self._wait("form()", self._request.form)

    def stream(self) -> Iterator[bytes]:
        """Yield the body in pieces as they arrive."""
        pieces = self._request.stream()

        async def step() -> bytes:
            return await anext(pieces, _END)

        while (piece := self._wait("stream()", step)) is not _END:
            yield piece

    def _wait(self, reader: str, read: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            verb = "async for piece in" if reader == "stream()" else "await"
            raise RuntimeError(
                f"request.blocking.{reader} would block the event loop: in an `async def` handler write "
                f"`{verb} request.{reader}`"
            )
        coroutine = read()
        if self._loop is None:  # no body to wait for, or none that a loop delivers
            return _run_without_waiting(coroutine, reader)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # the loop is closed
            coroutine.close()
            raise
        return future.result()


def _run_without_waiting(coroutine: Coroutine[Any, Any, _T], reader: str) -> _T:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    coroutine.close()
    raise RuntimeError(
        f"request.blocking.{reader} has no event loop to wait in: the request was created outside of one"
    )
