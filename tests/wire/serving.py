"""A server on a real socket, in a thread with an event loop of its own, and a plain blocking client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from pierhead import App
from pierhead.config import Settings
from pierhead.interfaces.adapt import adapt
from pierhead.interfaces.base import Application
from pierhead.transports.server import Server

__all__ = ["TIMEOUT_S", "Serving", "exchange", "serving"]

TIMEOUT_S = 90.0
_T = TypeVar("_T")


class Serving:
    """A running server."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, address: tuple[str, int]) -> None:
        self.server = server
        self.address = address
        self._loop = loop

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT_S)

    def connect(self, receive_buffer_bytes: int = 0) -> socket.socket:
        """Open a connection."""
        client = socket.socket()
        if receive_buffer_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        client.settimeout(TIMEOUT_S)
        client.connect(self.address)
        return client


@contextlib.contextmanager
def serving(
    app: App | Application,
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    **settings: Any,
) -> Iterator[Serving]:
    """Serve `app` on a free port of the loopback interface; `settings` are fields of Settings."""
    loop = new_loop()
    thread = threading.Thread(target=loop.run_forever, name="serving", daemon=True)
    thread.start()
    server = Server(adapt(app), Settings(**settings))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = Serving(server, loop, listening.getsockname())
        running.run(server.serve([listening.dup()]))
    try:
        yield running
    finally:
        running.run(_stop(server))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def exchange(running: Serving, data: bytes) -> bytes:
    """Send bytes over a connection of their own and return all the answer."""
    with running.connect() as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while piece := client.recv(1 << 16):
            answer += piece
        return bytes(answer)


async def _stop(server: Server) -> None:
    await server.drain(1.0)
    await server.close()
