"""What the parts of a request cost in the server's own process: `./kit peers --parts`.

No socket and no client: the same objects a worker uses, called again and again. The least of many tries
counts, because what disturbs only adds. What the kernel and the event loop cost is not in it.
"""

from __future__ import annotations

import asyncio
import platform
import sys
import timeit
from collections.abc import Callable
from typing import Any

from loadtest.peers.catalogue import PeerError
from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.health import Health
from pierhead.interfaces.native import NativeApplication
from pierhead.protocols.http1 import Http1Codec, RequestHead
from pierhead.transports.connection import HttpConnection
from pierhead.transports.exchange import Exchange, start_task
from pierhead.transports.server import Server

__all__ = ["table"]

MINIMAL = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
REALISTIC = (
    b"GET /?n=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)"
    b" AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\nAccept: text/html,"
    b"application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nAccept-Encoding: gzip, "
    b"deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.5\r\nReferer: https://www.example.com/shop/list?page=2"
    b"\r\nCookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1\r\nCache-Control: max-age=0"
    b"\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: www.example.com\r\n"
    b"X-Request-Id: 5e1f0c7a-3b52-4d9e-9a60-100000000001\r\n\r\n"
)
TIMES, TRIES = 500, 60

app = App("parts")


@app.get("/")
async def greet(request: Request) -> Response:
    """Answer 13 bytes."""
    return Response.text("Hello, World!")


class Nowhere(asyncio.Transport):
    """A transport whose writes go nowhere."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8080)})

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def abort(self) -> None:
        """There is nobody to cut off."""


def microseconds(call: Callable[[], Any]) -> float:
    """Return what a call takes at the best."""
    return min(timeit.repeat(call, number=TIMES, repeat=TRIES)) / TIMES * 1e6


def step(coroutine: Any) -> None:
    """Run a coroutine that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("it waits")


async def nothing() -> None:
    """Do nothing, in a task."""


async def measure(raw: bytes) -> dict[str, float]:
    """Return the cost of each part of a request, and of all together."""
    server = Server(Health(NativeApplication(app), lambda: True, "/healthz", "/readyz"), Settings())
    await server.start()
    connection = server.connect()
    assert isinstance(connection, HttpConnection)
    connection.connection_made(Nowhere())
    codec = Http1Codec(server.limits.heads, server.limits.simple_heads)
    [head] = codec.feed(raw)
    assert isinstance(head, RequestHead)
    request, extra = server.make_request(head, None, connection)
    response = Response.text("Hello, World!")
    stamp = server.stamp + extra

    def read_and_render() -> None:
        codec.feed(raw)
        codec.respond(200, response.headers.raw, b"Hello, World!", stamp)
        codec.next_request()

    codec.next_request()
    parts = {
        "codec: head checked and read, response rendered": microseconds(read_and_render),
        "Request, forwarding facts, request id": microseconds(
            lambda: server.make_request(head, None, connection)
        ),
        "application: route found, handler, its Response": microseconds(
            lambda: step(server.limits.respond(request))
        ),
        "a task of its own, with its context": microseconds(lambda: start_task(nothing())),
        "exchange": microseconds(lambda: Exchange(connection, request, head, extra)),
        "metrics": microseconds(lambda: server.note(request, 200, 13, 0.001)),
    }
    whole = microseconds(lambda: connection.data_received(raw))
    parts["connection: order, deadlines, the rest"] = whole - sum(parts.values())
    parts["all"] = whole
    connection.connection_lost(None)
    await server.close()
    return parts


def table() -> str:
    """Measure, and return a Markdown table: microseconds of each part for both kinds of request.

    Raises PeerError before Python 3.12, where a request is only answered in the event loop's next turn.
    """
    version = tuple(sys.version_info)
    if version < (3, 12):
        raise PeerError(
            "the parts of a request can be measured from Python 3.12 on: choose one with --python"
        )
    minimal, realistic = (asyncio.run(measure(raw)) for raw in (MINIMAL, REALISTIC))
    lines = [
        f"| µs of each request, Python {platform.python_version()} | minimal | realistic |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {part} | {minimal[part]:.2f} | {realistic[part]:.2f} |" for part in minimal]
    return "\n".join(lines)
