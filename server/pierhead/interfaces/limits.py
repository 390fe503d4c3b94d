"""An application's own limit on request bodies, below the server's."""

from __future__ import annotations

from pierhead.errors import HTTPError
from pierhead.messages.body import BodyReader
from pierhead.messages.headers import Headers
from pierhead.messages.request import Request

__all__ = ["limit_body"]


def limit_body(request: Request, max_bytes: int) -> None:
    """Refuse a body of more than `max_bytes`.

    Raises HTTPError 413 at once where its length is announced; otherwise reading the body raises it.
    """
    announced = request.content_length
    if announced is not None and announced > max_bytes:
        raise _too_large(max_bytes)
    if announced is None and request._reader is not None:
        request._reader = _LimitedBody(request._reader, max_bytes)


class _LimitedBody:
    """Implements BodyReader on another."""

    def __init__(self, reader: BodyReader, max_bytes: int) -> None:
        self._reader = reader
        self._max_bytes = max_bytes
        self._bytes = 0

    @property
    def trailers(self) -> Headers:
        return self._reader.trailers

    async def read(self) -> bytes:
        piece = await self._reader.read()
        self._bytes += len(piece)
        if self._bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        return piece


def _too_large(max_bytes: int) -> HTTPError:
    return HTTPError(413, f"the body has more than the {max_bytes} bytes that are accepted here")
