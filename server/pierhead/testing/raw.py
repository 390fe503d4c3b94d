"""A server that is given raw bytes."""

from __future__ import annotations

import asyncio
from typing import Any

from pierhead.interfaces.adapt import adapt
from pierhead.testing.runner import AnyApp, make_server, settings_of
from pierhead.transports.memory import MemoryTransport

__all__ = ["handle_raw"]


def handle_raw(app: AnyApp, data: bytes, **settings: Any) -> bytes:
    """Send raw bytes to a fresh server as one connection that then closes its sending side.

    Returns all the server answers until it closes; `settings` are fields of `pierhead.config.Settings`.
    """

    async def run() -> bytes:
        chosen = settings_of(settings)
        server = make_server(adapt(app, interface=chosen.interface), chosen)
        await server.start()
        try:
            return await MemoryTransport(server.connect()).exchange(data)
        finally:
            await server.drain(1.0)
            await server.close()

    return asyncio.run(run())
