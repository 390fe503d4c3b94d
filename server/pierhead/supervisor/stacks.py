"""Stacks of a worker's threads, written by the worker when it crashes or is asked, read by its generation.

`faulthandler` writes them in C, from a signal handler: it needs no event loop and no Python code to run.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal

from pierhead.scratch import scratch_file

__all__ = ["Stacks"]

_MOST_BYTES = 64 << 10
_ASK = signal.SIGUSR2


class Stacks:
    """A file for the stacks of one worker, made before it is forked."""

    def __init__(self) -> None:
        self._fd: int | None = None
        with contextlib.suppress(OSError):  # without it there are no stacks, but a worker
            self._fd = scratch_file("pierhead-stacks")

    def provide(self) -> None:
        """In the worker: write them on SIGSEGV, SIGFPE, SIGABRT, SIGBUS, SIGILL, and when asked."""
        if self._fd is not None:
            faulthandler.enable(self._fd)
            faulthandler.register(_ASK, self._fd, chain=False)
        else:
            signal.signal(_ASK, signal.SIG_IGN)

    def ask(self, pid: int) -> None:
        """Have the worker write them."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, _ASK)

    def read(self) -> str:
        """Return what the worker wrote, "" where it is nothing."""
        if self._fd is None:
            return ""
        with contextlib.suppress(OSError):
            return os.pread(self._fd, _MOST_BYTES, 0).decode("utf-8", "replace").rstrip()
        return ""

    def close(self) -> None:
        """Let the file go."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
