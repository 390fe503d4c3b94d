"""A target: one way to the application, direct or through a proxy, and what can be done to its processes."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from stack.matrix.client import Answer, Connection, Fields, connected

__all__ = ["Control", "Target"]

ANSWER_S = 60.0


class Control(Protocol):
    """What disruptive checks do. Replicas are numbered from 0."""

    async def kill(self, number: int) -> None:
        """End a replica at once, as a machine that fails does."""

    async def drain(self, number: int) -> None:
        """Have a replica stop after its requests, and wait until it has."""

    async def start(self, number: int, *, keep_alive_s: float = 75.0) -> None:
        """Start a replica again, and wait until it is ready; it keeps idle connections for so long."""

    def pause(self, number: int) -> None:
        """Freeze a replica: it accepts connections and says nothing."""

    def resume(self, number: int) -> None:
        """Let a replica go on."""

    async def reload_application(self) -> None:
        """Have every replica load its code again, and wait until it has."""

    async def reload_proxy(self) -> None:
        """Have the proxy read its files again."""

    async def add(self) -> int:
        """Start one more replica, and tell the proxy; return its number."""

    async def remove(self, number: int) -> None:
        """Take a replica from the proxy, then stop it."""


@dataclass
class Target:
    """One column of the matrix."""

    name: str
    port: int
    replicas: int
    version: str = ""
    clients: frozenset[str] = frozenset({"127.0.0.1"})
    """The addresses that our requests come from, as the application has to see them."""
    control: Control | None = None
    latencies_ms: dict[str, float] = field(default_factory=dict)
    """What checks have measured, by name."""

    @property
    def host(self) -> str:
        """The Host that requests name if they name no other."""
        return f"127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """Be connected as long as the block."""
        async with connected(self.port) as connection:
            yield connection

    async def fetch(
        self,
        path: str = "/",
        fields: Fields = (),
        *,
        method: str = "GET",
        body: bytes | None = None,
        host: str = "",
    ) -> Answer:
        """Send one request on a connection of its own."""
        async with self.connected() as connection, asyncio.timeout(ANSWER_S):
            return await ask(connection, path, fields, method=method, body=body, host=host or self.host)

    async def seen(
        self, path: str = "/seen", fields: Fields = (), *, method: str = "GET", host: str = ""
    ) -> dict[str, Any]:
        """Send one request and return how it arrived at the application."""
        answer = await self.fetch(path, fields, method=method, host=host)
        return arrived(answer)

    async def raw(self, data: bytes, *, pause_s: float = 0.0, end: bool = False) -> list[bytes]:
        """Send bytes as they are; return the heads of the responses, none if the connection was just closed.

        With `pause_s` the last byte waits for so long; with `end` our side is closed after it.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        received = b""
        try:
            async with asyncio.timeout(ANSWER_S):
                writer.write(data[:-1] if pause_s else data)
                if pause_s:
                    await asyncio.sleep(pause_s)
                    writer.write(data[-1:])
                if end:
                    writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    while piece := await reader.read(65536):
                        received += piece
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        return [b"HTTP/" + part for part in received.split(b"HTTP/")[1:]]

    async def status_of(self, data: bytes, **options: Any) -> str:
        """Send bytes as they are; return the status of the first response, or "closed"."""
        answers = await self.raw(data, **options)
        return answers[0].split(b" ", 2)[1].decode() if answers else "closed"

    def control_of(self) -> Control:
        """Return what controls the processes. Raises AssertionError where nothing does."""
        assert self.control is not None, f"the processes of {self.name} are not ours"
        return self.control


async def ask(
    connection: Connection, path: str, fields: Fields, *, method: str, body: bytes | None, host: str
) -> Answer:
    """Send one request, with its length if it has a body, and wait for the response."""
    sized = [] if body is None else [("Content-Length", str(len(body)))]
    await connection.head(path, [*fields, *sized], method=method, host=host)
    if body:
        await connection.body(body)
    await connection.end()
    return await connection.answer()


def arrived(answer: Answer) -> dict[str, Any]:
    """Return what the probe says it saw. Raises AssertionError if it is not the probe that answered."""
    assert answer.status == 200, f"{answer.status} {answer.body[:200]!r}"
    body = gzip.decompress(answer.body) if answer.one("content-encoding") == "gzip" else answer.body
    facts: dict[str, Any] = json.loads(body)
    return facts
