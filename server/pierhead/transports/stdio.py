"""One connection on two file descriptors, such as standard input and output, whatever they are.

Pipes, files, terminals and sockets cannot all be waited for in one way, so each direction has a thread that
blocks in its stead. That is slow beside sockets, and right for what lives for one connection.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from typing import Any

__all__ = ["StreamTransport"]

_PIECE_BYTES = 64 << 10
_HIGH_WATER_BYTES = 256 << 10
_LOW_WATER_BYTES = 64 << 10


class StreamTransport(asyncio.Transport):
    """Joins `protocol` to what is read from one descriptor and written to another, both its own from here on.

    It is used inside a running event loop, from `begin` on. No half of it can be closed by itself.
    """

    def __init__(self, protocol: asyncio.Protocol, reader_fd: int, writer_fd: int) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._reader_fd = reader_fd
        self._writer_fd = writer_fd
        self._may_read = threading.Event()
        self._may_read.set()
        self._reading = True
        self._closing = False
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._write_paused = False
        self._work = threading.Condition()

    def begin(self) -> None:
        """Tell the protocol, and start."""
        self._protocol.connection_made(self)
        # As daemons: one that blocks in the system must not keep the process from its end.
        threading.Thread(target=self._read, name="pierhead-stdin", daemon=True).start()
        threading.Thread(target=self._write, name="pierhead-stdout", daemon=True).start()

    # What asyncio.Transport promises

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Pass bytes to the writing thread."""
        if self._closing or not data:
            return
        with self._work:
            self._outgoing.append(bytes(data))
            self._outgoing_bytes += len(data)
            self._work.notify()
        if self._outgoing_bytes > _HIGH_WATER_BYTES and not self._write_paused:
            self._write_paused = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        """Tell that it ends as a whole."""
        return False

    def pause_reading(self) -> None:
        """Leave what comes to the system; a piece that is being read is still delivered."""
        self._reading = False
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Go on reading."""
        self._reading = True
        self._may_read.set()

    def is_reading(self) -> bool:
        """Tell whether it reads."""
        return self._reading

    def is_closing(self) -> bool:
        """Tell whether it is closed, or about to be."""
        return self._closing

    def close(self) -> None:
        """Close once everything is written."""
        if not self._closing:
            self._closing = True
            self._may_read.set()
            with self._work:
                self._work.notify()

    def abort(self) -> None:
        """Close without writing what is left."""
        with self._work:
            self._outgoing.clear()
        self.close()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are not written yet."""
        return self._outgoing_bytes

    # Inside

    def _read(self) -> None:
        data = b"more"
        while data and not self._closing:
            self._may_read.wait()
            try:
                data = os.read(self._reader_fd, _PIECE_BYTES)
            except OSError:
                data = b""
            if not self._post(self._received, data):
                break
        os.close(self._reader_fd)

    def _write(self) -> None:
        error: OSError | None = None
        while True:
            with self._work:
                self._work.wait_for(lambda: self._outgoing or self._closing)
                if not self._outgoing:
                    break
                piece = self._outgoing.popleft()
            try:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._writer_fd, rest) :]
            except OSError as caught:
                error = caught
                break
            self._post(self._written, len(piece))
        os.close(self._writer_fd)
        self._post(self._lost, error)

    def _post(self, call: Any, argument: object) -> bool:
        """Have the loop make a call; False where there is no loop any more."""
        try:
            self._loop.call_soon_threadsafe(call, argument)
        except RuntimeError:
            return False
        return True

    def _received(self, data: bytes) -> None:
        if self._closing:
            return
        if data:
            self._protocol.data_received(data)
        elif not self._protocol.eof_received():
            self.close()

    def _written(self, count: int) -> None:
        self._outgoing_bytes -= count
        if self._write_paused and self._outgoing_bytes <= _LOW_WATER_BYTES:
            self._write_paused = False
            self._protocol.resume_writing()

    def _lost(self, error: OSError | None) -> None:
        self._closing = True
        self._protocol.connection_lost(error)
