"""Where log lines go: a descriptor that is written in batches and never waited for.

Lines of one turn of the event loop leave in one write. A pipe whose reader is slow, a full disk and a reader
that is gone cost lines, which are counted and reported; they never cost a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import socket
import stat
import sys
import time
from collections import deque
from pathlib import Path

from pierhead.log import facts, is_torn

__all__ = ["LINE_LIMIT_BYTES", "LogOutput"]

logger = logging.getLogger("pierhead.output")

LINE_LIMIT_BYTES = 4096
"""PIPE_BUF of Linux: what several processes write to one pipe stays whole up to this length (pipe(7))."""
_PENDING_LIMIT_BYTES = 1 << 20
_CLOSE_S = 1.0


class LogOutput:
    """Writes whole lines to standard output ("-") or appends them to a file.

    Raises OSError where the file cannot be opened. `write` needs a running event loop.
    """

    def __init__(self, path: str) -> None:
        self._name = "standard output" if path == "-" else path
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None  # set while it tells us when there is room
        self._dropped = 0
        self._failing = ""
        self._owned = False
        self._socket: socket.socket | None = None
        if path == "-":
            self._descriptor = self._open_stdout()
        else:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(path, flags, 0o640)
            self._owned = True
        kind = os.fstat(self._descriptor).st_mode
        self._piecewise = not stat.S_ISREG(kind)

    def write(self, line: bytes) -> None:
        """Take a line with its line end; it leaves before the event loop's next turn if it can."""
        if self._pending_bytes + len(line) > _PENDING_LIMIT_BYTES:
            self._dropped += 1
            return
        self._pending.append(line)
        self._pending_bytes += len(line)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush_soon)

    def flush(self) -> bool:
        """Write what is pending as far as it goes without waiting; False where something is left."""
        while self._pending:
            piece = self._next_piece()
            lead = b"\n" if self._failing and is_torn(self._descriptor) else b""
            try:
                written = self._send(lead + piece) - len(lead)
            except (BlockingIOError, InterruptedError):
                self._give_back(piece)
                return False
            except OSError as error:
                lost = piece.count(b"\n") + len(self._pending)
                self._pending.clear()
                self._pending_bytes = 0
                self._fail(error, lost)
                return True
            if written < len(piece):
                self._give_back(piece[written:])
        self._recovered()
        return True

    def close(self) -> None:
        """Write what is pending, waiting for a slow reader for a moment, and close a file."""
        self._stop_waiting()
        deadline = time.monotonic() + _CLOSE_S
        while not self.flush() and (left := deadline - time.monotonic()) > 0:
            self._writable(left)
        if self._socket is not None:
            self._socket.close()
        elif self._owned:
            os.close(self._descriptor)

    def _open_stdout(self) -> int:
        """Return a descriptor of standard output that can be written without waiting.

        O_NONBLOCK belongs to the open file, which our parent and its other children share: so a pipe or a
        terminal is opened a second time, and a socket is sent to with MSG_DONTWAIT.
        """
        descriptor = sys.__stdout__.fileno() if sys.__stdout__ is not None else 1
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(kind):
            self._socket = socket.socket(fileno=os.dup(descriptor))
        elif not stat.S_ISREG(kind) and Path("/proc/self/fd").is_dir():
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
            with contextlib.suppress(OSError):  # e.g. another user's terminal: then it is looked at first
                descriptor = os.open(f"/proc/self/fd/{descriptor}", flags)
                self._owned = True
        return descriptor

    def _send(self, piece: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(piece, socket.MSG_DONTWAIT)
        if self._piecewise and not self._owned and not self._writable(0.0):
            raise BlockingIOError
        return os.write(self._descriptor, piece)

    def _writable(self, wait_s: float) -> bool:
        if not hasattr(select, "poll"):  # Windows, where a pipe tells nothing
            return True
        poll = select.poll()  # select() knows no descriptor above 1023
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(wait_s * 1000))

    def _next_piece(self) -> bytes:
        """Take lines for one write: all for a file, as many as stay whole for a pipe."""
        if not self._piecewise:
            piece = b"".join(self._pending)
            self._pending.clear()
            self._pending_bytes = 0
            return piece
        lines = [self._pending.popleft()]
        size = len(lines[0])
        while self._pending and size + len(self._pending[0]) <= LINE_LIMIT_BYTES:
            lines.append(self._pending.popleft())
            size += len(lines[-1])
        self._pending_bytes -= size
        return b"".join(lines)

    def _give_back(self, piece: bytes) -> None:
        self._pending.appendleft(piece)
        self._pending_bytes += len(piece)

    def _flush_soon(self) -> None:
        self._scheduled = not self.flush()
        if self._scheduled and self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_writer(self._descriptor, self._flush_soon)
        elif not self._scheduled:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._loop is not None:
            self._loop.remove_writer(self._descriptor)
            self._loop = None

    def _fail(self, error: OSError, lost: int) -> None:
        self._dropped += lost
        reason = error.strerror or str(error)
        if reason != self._failing:
            self._failing = reason
            logger.error(
                "the access log cannot be written to %s: %s; lines are lost",
                self._name,
                reason,
                extra=facts("access_log_failed", reason=reason),
            )

    def _recovered(self) -> None:
        """Report lines that were lost, once there is a way for others again."""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            why = self._failing or "its reader is too slow"
            logger.warning(
                "%d lines of the access log to %s were lost: %s",
                dropped,
                self._name,
                why,
                extra=facts("access_log_lost", lines=dropped, reason=why),
            )
        self._failing = ""
