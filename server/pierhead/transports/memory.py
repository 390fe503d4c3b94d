"""A connection that exists in memory only: an asyncio transport whose other end is the caller.

Tests and `pierhead request` send raw bytes through the same connection code as a socket does.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["MemoryTransport"]


class MemoryTransport(asyncio.Transport):
    """Joins `protocol`, the server's end of a connection, to a client that calls `send` and `receive`.

    What the server writes waits until the client receives it; past `high_water_bytes` the server is made to
    wait, as a socket with a full buffer does.
    """

    def __init__(
        self,
        protocol: asyncio.Protocol,
        *,
        client: tuple[str, int] = ("127.0.0.1", 50000),
        server: tuple[str, int] = ("127.0.0.1", 8080),
        high_water_bytes: int = 64 << 10,
    ) -> None:
        super().__init__({"peername": client, "sockname": server})
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._high_water_bytes = high_water_bytes
        self._outgoing = bytearray()  # from the server to the client
        self._held: list[bytes] = []  # from the client, while the server does not read
        self._reading = True
        self._client_eof = False
        self._server_eof = False
        self._closing = False
        self._write_paused = False
        self._changed = asyncio.Event()
        protocol.connection_made(self)

    # The client's end

    def send(self, data: bytes) -> None:
        """Send bytes to the server; nothing is sent once the server closed."""
        if self._closing or not data:
            return
        if self._reading:
            self._protocol.data_received(data)
        else:
            self._held.append(data)

    def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        if self._client_eof or self._closing:
            return
        self._client_eof = True
        self._deliver_eof()

    async def receive(self) -> bytes:
        """Return what the server wrote, waiting for it; b"" once the server closed."""
        while not self._outgoing and not self._server_eof:
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._outgoing)
        self._outgoing.clear()
        if self._write_paused:
            self._write_paused = False
            self._protocol.resume_writing()
        return data

    async def exchange(self, data: bytes) -> bytes:
        """Send all that is ever sent; returns all that the server writes until it closes."""
        self.send(data)
        self.send_eof()
        answer = bytearray()
        while piece := await self.receive():
            answer += piece
        return bytes(answer)

    def disconnect(self) -> None:
        """Break the connection off, as a client that vanishes."""
        self.abort()

    # The server's end: what asyncio.Transport promises

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Pass bytes to the client."""
        if self._closing:
            return
        if self._server_eof:
            raise RuntimeError("write() after write_eof()")  # as transports of sockets have it
        self._outgoing += data
        self._changed.set()
        if len(self._outgoing) > self._high_water_bytes and not self._write_paused:
            self._write_paused = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        """Tell that one direction can be closed by itself."""
        return True

    def write_eof(self) -> None:
        """Close the direction to the client."""
        self._server_eof = True
        self._changed.set()
        if self._client_eof:
            self.close()

    def pause_reading(self) -> None:
        """Hold back what the client sends."""
        self._reading = False

    def resume_reading(self) -> None:
        """Deliver what was held back, then go on as before."""
        self._reading = True
        while self._held and self._reading and not self._closing:
            self._protocol.data_received(self._held.pop(0))
        self._deliver_eof()

    def is_reading(self) -> bool:
        """Tell whether bytes are delivered."""
        return self._reading

    def is_closing(self) -> bool:
        """Tell whether the connection is closed."""
        return self._closing

    def close(self) -> None:
        """Close both directions; what was written can still be received."""
        if not self._closing:
            self._closing = self._server_eof = True
            self._changed.set()
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """Close both directions at once."""
        self.close()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the client has not received."""
        return len(self._outgoing)

    def _deliver_eof(self) -> None:
        if self._client_eof and not self._held and self._reading and not self._closing:
            keep_open = self._protocol.eof_received()
            if not keep_open or self._server_eof:
                self.close()
