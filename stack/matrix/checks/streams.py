"""Bodies that take their time: nothing waits in a proxy."""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import time

import h11

from stack.matrix.check import Differs, check
from stack.matrix.client import Fields
from stack.matrix.target import Target, arrived

GROUP = "Streams and uploads"
MIB = 1 << 20
AT_ONCE_MS = 200.0
PATIENCE_S = 30.0


async def event_latency(target: Target, path: str, fields: Fields, name: str) -> str:
    """Read events that say when they were sent; tell whether each came before the next one was sent.

    The quickest of them must be quick: all of them, on a machine that has nothing else to do. On one that is
    busy it may take more than one attempt; what a proxy holds back is late in all of them.
    """
    until = time.monotonic() + PATIENCE_S
    while (
        outcome := await one_latency(target, path, fields, name)
    ) != "at once" and time.monotonic() < until:
        pass
    return outcome


async def one_latency(target: Target, path: str, fields: Fields, name: str) -> str:
    """Make one attempt of `event_latency`."""
    latencies, late, previous = [], 0, 0.0
    async with target.connected() as connection:
        await connection.head(path, fields, host=target.host)
        await connection.end()
        rest = b""
        while not isinstance(event := await connection.event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                continue
            *lines, rest = (rest + bytes(event.data)).split(b"\n")
            now = time.time()
            for line in lines:
                stamp = line.removeprefix(b"data: ")
                if stamp.replace(b".", b"", 1).isdigit():
                    latencies.append((now - float(stamp)) * 1000)
                    late += previous == now
                    previous = now
    assert len(latencies) == 8, f"{len(latencies)} events came"
    target.latencies_ms[name] = round(statistics.median(latencies), 2)
    if late > len(latencies) // 2:
        return "held back"
    return "at once" if min(latencies) < AT_ONCE_MS else f"{min(latencies):.0f} ms late"


@check(GROUP, "server-sent events: each arrives before the next is sent, within 200 ms", "at once")
async def sse(target: Target) -> str:
    """Read events as a program does."""
    return await event_latency(target, "/events?count=8", [], "sse")


@check(GROUP, "the same as a browser reads them, with Accept-Encoding", "at once")
async def sse_browser(target: Target) -> str:
    """Read events as EventSource does."""
    fields = [("Accept", "text/event-stream"), ("Accept-Encoding", "gzip, deflate, br, zstd")]
    return await event_latency(target, "/events?count=8", fields, "sse-browser")


@check(GROUP, "any other body that is sent in pieces", "at once")
async def chunked_response(target: Target) -> str:
    """Read lines of JSON as they come."""
    return await event_latency(target, "/pieces?count=8", [("Accept-Encoding", "gzip")], "pieces")


@check(GROUP, "Last-Event-ID reaches the application", "41")
async def last_event_id(target: Target) -> str:
    """Reconnect as EventSource does."""
    answer = await target.fetch("/events?count=0", [("Last-Event-ID", "41")])
    return answer.body.decode().strip().removeprefix(": ")


@check(
    GROUP,
    "a reader of events that leaves is noticed by the application",
    "noticed",
    local="it needs a folder that all replicas share",
)
async def reader_leaves(target: Target) -> str:
    """Leave in the middle."""
    key = f"{target.name}-{target.replicas}-{time.monotonic_ns()}"
    async with target.connected() as connection:
        await connection.head(f"/events?count=600&interval=0.1&note={key}", host=target.host)
        await connection.end()
        assert isinstance(await connection.event(), h11.Response)
        assert isinstance(await connection.event(), h11.Data)
    async with asyncio.timeout(20):
        while not arrived(await target.fetch(f"/notes/left-{key}"))["count"]:  # noqa: ASYNC110 - elsewhere
            await asyncio.sleep(0.1)
    return "noticed"


@check(GROUP, "an answer that breaks off does not look complete", "incomplete")
async def broken_off(target: Target) -> str:
    """Read something that ends before its time."""
    async with target.connected() as connection:
        await connection.head("/pieces?count=2&break", host=target.host)
        await connection.end()
        try:
            answer = await connection.answer()
        except (AssertionError, ConnectionError, h11.RemoteProtocolError):
            return "incomplete"
    return f"{answer.status}, complete"


@check(GROUP, "an upload of 100 MB is passed on while it is sent", "streamed")
async def upload(target: Target) -> str:
    """Send a megabyte, wait, and send the rest: the application must have begun before that."""
    return await streamed_upload(target, 100, [("Content-Length", str(100 * MIB))])


@check(GROUP, "an upload in chunks, of unknown length", "streamed")
async def chunked_upload(target: Target) -> str:
    """Send 8 MB of which nobody knew."""
    return await streamed_upload(target, 8, [("Transfer-Encoding", "chunked")])


async def streamed_upload(target: Target, pieces: int, fields: Fields) -> str:
    """Upload so many MiB; tell whether they were passed on as they came. The content must be right."""
    piece = bytes(range(256)) * (MIB // 256)
    digest = hashlib.sha256()
    async with target.connected() as connection:
        await connection.head("/seen", fields, method="POST", host=target.host)
        await connection.body(piece)
        await asyncio.sleep(1)
        resumed = time.time()
        for _ in range(pieces - 1):
            await connection.body(piece)
        await connection.end()
        for _ in range(pieces):
            digest.update(piece)
        facts = arrived(await connection.answer())
    assert facts["body_bytes"] == pieces * MIB, facts["body_bytes"]
    assert facts["body_sha256"] == digest.hexdigest()
    return "streamed" if facts["body_began"] < resumed else "kept until it was whole"


@check(
    GROUP,
    "how a short chunked body arrives",
    "chunked",
    differs={
        "nginx": Differs(
            "with its length",
            "nginx has read a short body before it asks, and tells its length",
        ),
        "apache": Differs(
            "with its length",
            "Apache has read a short body before it asks, and tells its length",
        ),
    },
)
async def chunked_framing(target: Target) -> str:
    """Look at the fields of a chunked request."""
    return await framing(target, "Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n")


@check(GROUP, "how a body with a length arrives", "with its length")
async def length_framing(target: Target) -> str:
    """Look at the fields of a request with a length."""
    return await framing(target, "Content-Length: 3", b"abc")


async def framing(target: Target, field: str, body: bytes) -> str:
    """Return how the application got a body of three bytes."""
    head = f"POST /seen HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n{field}\r\n\r\n"
    (answer,) = await target.raw(head.encode() + body)
    assert b'"body_bytes":3' in answer, answer
    return "chunked" if b'"transfer-encoding"' in answer.lower() else "with its length"


@check(GROUP, "Expect: 100-continue: the client is told to go on", "100, 200")
async def expect(target: Target) -> str:
    """Wait for the word before the body is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        fields = "Host: example.org\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n"
        writer.write(f"POST /seen HTTP/1.1\r\n{fields}\r\n".encode())
        async with asyncio.timeout(20):
            interim = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"abc")
            while (final := await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].startswith(b"1"):
                pass  # once more: Caddy passes the application's 100 on as well
    finally:
        writer.close()
    return f"{interim.split(b' ')[1].decode()}, {final.split(b' ')[1].decode()}"


@check(
    GROUP,
    "an expectation that nobody knows",
    "417",
    differs={"nginx": Differs("200", "nginx ignores it, and does not pass it on")},
)
async def expect_unknown(target: Target) -> str:
    """Expect something else."""
    return await target.status_of(
        b"POST /seen HTTP/1.1\r\nHost: example.org\r\nContent-Length: 3\r\nExpect: a miracle\r\n"
        b"Connection: close\r\n\r\nabc"
    )


@check(
    GROUP,
    "trailers of a chunked request",
    "passed on",
    differs={
        "caddy": Differs("dropped", "Caddy does not pass on the trailers of a request"),
        "nginx": Differs("dropped", "nginx does not pass on the trailers of a request"),
        "apache": Differs("dropped", "Apache does not pass on the trailers of a request"),
    },
)
async def trailers(target: Target) -> str:
    """Send a field after the body (RFC 9110, 6.5)."""
    (answer,) = await target.raw(
        b"POST /seen HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"
        b"Connection: close\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\n\r\n"
    )
    assert b" 200 " in answer.split(b"\r\n")[0], answer
    return "passed on" if b'["X-Sum","42"]' in answer.replace(b" ", b"") else "dropped"
