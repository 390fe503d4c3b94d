"""Programs that run already: where they are, and a connection to one for each request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pierhead.interfaces.gateway.application import GatewayApplication
from pierhead.interfaces.gateway.errors import GatewayError
from pierhead.interfaces.gateway.idle import Streams

__all__ = ["PIECE_BYTES", "Connection", "Upstream", "UpstreamApplication"]

PIECE_BYTES = 64 << 10
"""How much is read and written at a time."""
_CONNECT_TIMEOUT_S = 5.0


class Upstream(NamedTuple):
    """An address: a host and port, or the path of a unix socket."""

    url: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Upstream:
        """Read `fastcgi://host:port`, `scgi://host:port` or `scgi://unix:/path`; raises ValueError."""
        scheme, _, rest = url.partition("://")
        if rest.startswith("unix:"):
            path = rest.removeprefix("unix:")
            if not path.startswith("/"):
                raise ValueError(f"{url!r}: a unix socket is like {scheme}://unix:/run/app.sock")
            return cls(url, "", 0, path)
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = None
        if not parts.hostname or not port or parts.path.strip("/"):
            raise ValueError(
                f"{url!r}: an upstream is like {scheme}://127.0.0.1:9000 or {scheme}://unix:/path"
            )
        return cls(url, parts.hostname, port, "")

    async def connect(self) -> Streams:
        """Connect; raises GatewayError 502, or 504 where nobody answers in time."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                if self.path:
                    return await asyncio.open_unix_connection(self.path)
                return await asyncio.open_connection(self.host, self.port)
        except TimeoutError:
            reason = f"{self.url} did not take the connection in {_CONNECT_TIMEOUT_S:g} s"
            raise GatewayError(504, reason) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise GatewayError(502, f"cannot connect to {self.url}: {reason}") from None


class Connection:
    """A request on a connection of its own, which ends with it; implements `Run`.

    `sent` yields what is sent, `read` is to be completed by what the bytes mean, and `ended` is called at the
    end.
    """

    def __init__(
        self,
        streams: Streams,
        sent: AsyncIterable[bytes],
        name: str,
        ended: Callable[[], None],
    ) -> None:
        self._reader, self._writer = streams
        self._name = name
        self._report_end = ended
        self._sending: asyncio.Future[None] | None = asyncio.ensure_future(self._send(sent))

    async def read(self) -> bytes:
        """Return what comes next, b"" at the end; raises GatewayError 502."""
        try:
            return await self._reader.read(PIECE_BYTES)
        except OSError as error:
            raise GatewayError(502, f"the connection broke off: {error.strerror or error}") from None

    async def close(self) -> None:
        """Close the connection."""
        sending, self._sending = self._sending, None
        if sending is not None:
            self._release(sending)
            self._report_end()
            await asyncio.wait({sending})

    def _release(self, sending: asyncio.Future[None]) -> None:
        """Do with the connection what is to be done at the end."""
        sending.cancel()
        self._writer.transport.abort()

    async def _send(self, pieces: AsyncIterable[bytes]) -> None:
        """Send everything; a program that does not read all of it may answer all the same."""
        with contextlib.suppress(OSError):
            async for piece in pieces:
                self._writer.write(piece)
                await self._writer.drain()


class UpstreamApplication(GatewayApplication):
    """A program that runs already, and answers at `url`; further arguments are those of GatewayApplication.

    At most `connections` are open in each worker; more requests wait. Raises ValueError for a URL that is
    none.
    """

    def __init__(self, url: str, *, root: Path | None = None, connections: int = 16, **options: Any) -> None:
        super().__init__(options.pop("name", "") or url, root=root, **options)
        self._upstream = Upstream.parse(url)
        self._connections = connections
        self._busy = 0
        self._free = asyncio.Semaphore(connections)

    async def start(self) -> None:
        """Count this worker's connections; see Application."""
        self._busy = 0
        self._free = asyncio.Semaphore(self._connections)

    async def _connect(self) -> Streams:
        """Return a connection for one more request; see `Upstream.connect` for the errors."""
        return await self._upstream.connect()

    async def _acquire(self) -> None:
        """Wait until one more request may be on its way; `_release` follows."""
        await self._free.acquire()
        self._busy += 1

    def _release(self) -> None:
        self._busy -= 1
        self._free.release()
