"""Limits: what is too large or too slow is refused with an honest status."""

from __future__ import annotations

import asyncio
import contextlib

import h11

from stack.matrix.check import Differs, check
from stack.matrix.target import Target

GROUP = "Limits and time"
MIB = 1 << 20
MAX_BODY = 128 * MIB


@check(GROUP, "a body of 128 MiB and a byte, by its Content-Length", "413")
async def body_too_large(target: Target) -> str:
    """Announce too much, and begin to send it."""
    async with target.connected() as connection:
        await connection.head(
            "/seen", [("Content-Length", str(MAX_BODY + 1))], method="POST", host=target.host
        )
        with contextlib.suppress(
            ConnectionError
        ):  # refused while it was sent: the answer is there all the same
            await connection.body(bytes(MIB))
        return str((await connection.answer()).status)


@check(
    GROUP,
    "the same without a length, in chunks",
    "413",
    differs={
        "apache": Differs(
            "413 or 502",
            "the application refuses it; Apache may see that it hung up before it sees its answer",
        )
    },
)
async def chunks_too_large(target: Target) -> str:
    """Send until somebody says stop."""
    async with target.connected() as connection:
        await connection.head("/seen", [("Transfer-Encoding", "chunked")], method="POST", host=target.host)
        answer = asyncio.ensure_future(connection.answer())
        try:
            with contextlib.suppress(ConnectionError, h11.LocalProtocolError):  # refused while it was sent
                for _ in range(MAX_BODY // MIB + 8):
                    if answer.done():
                        break
                    await connection.body(bytes(MIB))
                if not answer.done():
                    await connection.end()
            status = str((await answer).status)
        except (AssertionError, OSError, h11.RemoteProtocolError):
            return "closed"
        finally:
            answer.cancel()
    return "413 or 502" if target.name == "apache" and status in ("413", "502") else status


@check(GROUP, "a field of 7 KB passes", "200")
async def long_field(target: Target) -> str:
    """Send a large cookie."""
    answer = await target.fetch("/seen", [("Cookie", "a=" + "x" * 7000)])
    return str(answer.status)


@check(GROUP, "a head of 48 KB", "431")
async def head_too_large(target: Target) -> str:
    """Send too many fields, none too long by itself."""
    fields = "".join(f"X-{number}: {'x' * 4000}\r\n" for number in range(12))
    return await target.status_of(
        f"GET /seen HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n{fields}\r\n".encode()
    )


@check(
    GROUP,
    "150 fields",
    "431",
    differs={"apache": Differs("400", "Apache says 400 for its LimitRequestFields")},
)
async def too_many_fields(target: Target) -> str:
    """Send many small fields."""
    fields = "".join(f"X-{number}: 1\r\n" for number in range(150))
    return await target.status_of(
        f"GET /seen HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n{fields}\r\n".encode()
    )


@check(GROUP, "a target of 7 KB passes", "200")
async def long_target(target: Target) -> str:
    """Ask a long question."""
    return str((await target.fetch("/seen?" + "x" * 7000)).status)


@check(GROUP, "a target of 10 KB", "414")
async def target_too_long(target: Target) -> str:
    """Ask too long a question."""
    path = "x" * 10_000
    return await target.status_of(
        f"GET /seen?{path} HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n".encode()
    )


@check(
    GROUP,
    "a head that never ends: given up after 10 s",
    "408",
    differs={
        "caddy": Differs("400", "Caddy calls it malformed, after the same time"),
        "nginx": Differs("closed", "nginx closes without a word, after the same time"),
    },
)
async def slow_head(target: Target) -> str:
    """Say half of it, and wait."""
    return await target.status_of(b"GET /seen HTTP/1.1\r\nHost: example.org\r\nX-", end=False)


@check(GROUP, "a handler that takes too long: the application's own 504", "504")
async def slow_handler(target: Target) -> str:
    """Ask for something that takes longer than the application allows."""
    answer = await target.fetch("/hasty/slow")
    assert (answer.one("content-type") or "").startswith("application/problem+json")
    return str(answer.status)
