"""What the tests of messages share: a body that arrives in pieces, and a request that has one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pierhead.messages.body import BodyLimits
from pierhead.messages.headers import Headers
from pierhead.messages.request import Request


class Pieces:
    """A BodyReader that gives the pieces it was made of; an exception among them is raised."""

    def __init__(self, *pieces: bytes | Exception, trailers: Headers | None = None) -> None:
        self.left = list(pieces)
        self.trailers = trailers or Headers()

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        if not self.left:
            return b""
        piece = self.left.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece


def get(target: str = "/", headers: dict[str, str] | None = None) -> Request:
    return Request("GET", target, Headers(headers or {}))


def post(
    body: bytes | Iterable[bytes | Exception],
    content_type: str = "",
    *,
    limits: BodyLimits | None = None,
    announce: bool = False,
) -> Request:
    pieces = (body,) if isinstance(body, bytes) else tuple(body)
    headers = Headers({"Content-Type": content_type} if content_type else {})
    if announce:
        headers["Content-Length"] = str(sum(len(piece) for piece in pieces if isinstance(piece, bytes)))
    return Request("POST", "/", headers, reader=Pieces(*pieces), limits=limits or BodyLimits())
