"""Programs by SCGI: variables and body in one piece, on a connection for each request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from pierhead.interfaces.gateway.application import Run
from pierhead.interfaces.gateway.scripts import Script
from pierhead.interfaces.gateway.upstream import PIECE_BYTES, Connection, UpstreamApplication
from pierhead.messages.request import Request
from pierhead.messages.uploads import Upload

__all__ = ["ScgiApplication"]


class ScgiApplication(UpstreamApplication):
    """A program that answers SCGI; see UpstreamApplication."""

    async def _open(
        self, request: Request, script: Script | None, variables: dict[str, str], body: Upload | None
    ) -> Run:
        await self._acquire()
        try:
            streams = await self._connect()
        except BaseException:
            self._release()
            raise
        return Connection(streams, _sent(variables, body), self.name, self._release)


async def _sent(variables: Mapping[str, str], body: Upload | None) -> AsyncIterator[bytes]:
    """Yield the variables as a netstring, CONTENT_LENGTH first, and the body."""
    pairs = {"CONTENT_LENGTH": variables.get("CONTENT_LENGTH", "0"), "SCGI": "1"}
    content = b"".join(
        b"%b\0%b\0" % (name.encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in (pairs | {**variables, **pairs}).items()
    )
    yield b"%d:%b," % (len(content), content)
    while body is not None and (piece := await body.read(PIECE_BYTES)):
        yield piece
