"""A link: one end of a pair of sockets between two processes, for frames and descriptors, on an event loop.

Back-pressure is the socket's own: who does not read makes the other end's `drain` wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from pierhead.isolation.frames import MOST_BYTES, Frame, FrameReader, Kind, encode

__all__ = ["Link"]

_READ_BYTES = 256 << 10
_HIGH_WATER_BYTES = 256 << 10
_MOST_FILES = 4


class Link:
    """Sends and reads frames on the running loop; takes descriptors too where `takes_files`.

    Without, the other end may be an application's process that is out of its mind: its frames are limited.

    One task reads at a time. `send` may be called from any thread, and where the loop is blocked.
    """

    def __init__(self, end: socket.socket, *, takes_files: bool = False) -> None:
        end.setblocking(False)
        self._end = end
        self._fd = end.fileno()
        self._loop = asyncio.get_running_loop()
        self._takes_files = takes_files
        self._reader = FrameReader(0 if takes_files else MOST_BYTES)
        self._frames: deque[Frame] = deque()
        self._waiting_bytes = 0
        self._files: deque[int] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._reading = False
        self._ended = False
        self._closed = False
        self._output: deque[tuple[memoryview, list[int]]] = deque()
        self._lock = threading.Lock()
        self._writing = False
        self._drained: asyncio.Future[None] | None = None
        self._resume()

    @property
    def waiting(self) -> bool:
        """Whether frames have come that nobody has read."""
        return bool(self._frames)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come than what has."""
        return self._ended

    async def read(self) -> Frame | None:
        """Return the next frame; None once the other end is gone and all it sent was read."""
        while not self._frames:
            if self._ended:
                return None
            self._resume()
            self._wake = self._loop.create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        frame = self._frames.popleft()
        self._waiting_bytes -= len(frame.data)
        return frame

    def take_file(self) -> int:
        """Return the descriptor that came with a frame that has one; it is the caller's to close."""
        return self._files.popleft()

    def send(
        self, kind: Kind, facts: dict[str, Any] | None = None, data: bytes = b"", files: Sequence[int] = ()
    ) -> None:
        """Send a frame, with copies of `files`, at once or when there is room; nothing where nobody reads."""
        item = memoryview(encode(kind, facts, data)), [os.dup(fd) for fd in files]
        with self._lock:
            if self._closed or self._ended:
                _close_all(item[1])
                return
            self._output.append(item)
            if not self._writing:
                self._flush()
                if self._output:
                    self._writing = True
                    self._loop.call_soon_threadsafe(self._watch_writing)

    async def drain(self) -> None:
        """Wait until all was taken; raises ConnectionError where the other end is gone."""
        while self._output and not (self._ended or self._closed):
            if self._drained is None:
                self._drained = self._loop.create_future()
            await asyncio.shield(self._drained)
        if self._ended or self._closed:
            raise ConnectionError("the other end of the link is gone")

    def end(self) -> None:
        """Read what has come, and take it for the last: the process at the other end has ended."""
        if self._ended or self._closed:
            return
        while self._read_some():
            pass
        self._finish()

    def close(self) -> None:
        """Close this end; what has not been taken is lost."""
        if not self._closed:
            self._finish()
            self._closed = True
            self._end.close()
            _close_all(self._files)

    def disown(self) -> None:
        """In a child of this process: say and take no more, as if closed; the parent's end stays as it is.

        What the two share is left alone, and that is the selector of their loops as well.
        """
        self._lock = threading.Lock()  # a thread that is not here may have had the other
        self._reading = self._writing = False
        self._closed = self._ended = True
        os.close(self._end.detach())

    # Inside

    def _resume(self) -> None:
        if not (self._reading or self._ended or self._closed):
            self._reading = True
            self._loop.add_reader(self._fd, self._readable)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def _readable(self) -> None:
        if self._closed:
            return
        self._read_some()
        if self._waiting_bytes > _HIGH_WATER_BYTES:
            self._pause()

    def _read_some(self) -> bool:
        """Read once; tells whether there may be more."""
        try:
            if self._takes_files:
                data, files, _, _ = socket.recv_fds(self._end, _READ_BYTES, _MOST_FILES)
                self._files += files
            else:  # the kernel closes descriptors that nobody asked for
                data = self._end.recv(_READ_BYTES)
            frames = self._reader.feed(data)
        except BlockingIOError:
            return False
        except (
            OSError,
            ValueError,
            MemoryError,
        ):  # it is gone, or out of its mind; or there is no room for it
            data, frames = b"", []
        self._frames += frames
        self._waiting_bytes += sum(len(frame.data) for frame in frames)
        if not data:
            self._finish()
        elif frames:
            self._notify()
        return bool(data)

    def _finish(self) -> None:
        self._pause()
        self._ended = True
        with self._lock:
            if self._writing:
                self._writing = False
                self._loop.remove_writer(self._fd)
            for _, files in self._output:
                _close_all(files)
            self._output.clear()
        self._notify()
        self._notify_drained()

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _notify_drained(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def _flush(self) -> None:
        """Send what there is room for; with the lock held."""
        while self._output:
            view, files = self._output[0]
            try:
                sent = socket.send_fds(self._end, [view], files) if files else self._end.send(view)
            except BlockingIOError:
                return
            except OSError:  # the reader is gone: reading shows it
                sent = len(view)
            _close_all(files)
            if sent == len(view):
                self._output.popleft()
            else:
                self._output[0] = view[sent:], []

    def _watch_writing(self) -> None:
        if self._writing:
            self._loop.add_writer(self._fd, self._writable)

    def _writable(self) -> None:
        if self._closed:
            return
        with self._lock:
            self._flush()
            done = not self._output
            if done:
                self._writing = False
                self._loop.remove_writer(self._fd)
        if done:
            self._notify_drained()


def _close_all(files: deque[int] | list[int]) -> None:
    while files:
        with contextlib.suppress(OSError):
            os.close(files.pop())
