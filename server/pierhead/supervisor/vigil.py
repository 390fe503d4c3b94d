"""The vigil: tells from its row on the board, and from what the system knows, whether a worker must go."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pierhead.board import Cell, Row

if TYPE_CHECKING:
    from pierhead.config import Settings

__all__ = ["Vigil", "memory_bytes"]

_LATE_S = 1.0


class Vigil:
    """Looks at workers from time to time: `look` first, then at each of them."""

    def __init__(self, settings: Settings, interval_s: float | None = None) -> None:
        """`interval_s` is how often the looker looks; by default what suits the limits."""
        self._settings = settings
        self._now_ns = time.monotonic_ns()
        self._trust_after_ns = 0
        limits = (settings.max_requests, settings.max_worker_age_s, settings.max_worker_memory_bytes)
        wanted = [
            1.0,
            *([settings.hang_timeout_s / 4] if settings.hang_timeout_s else []),
            *([0.25] if any(limits) else []),
        ]
        self.interval_s = interval_s or max(0.05, min(wanted))
        """How often to look."""

    def look(self) -> None:
        """Take the time. Who was late himself (a machine that was paused) gives everybody another chance."""
        now_ns = time.monotonic_ns()
        if now_ns - self._now_ns > (self.interval_s + _LATE_S) * 1e9:
            self._trust_after_ns = now_ns
        self._now_ns = now_ns

    def hangs(self, pid: int, row: Row) -> str:
        """Return in what state a worker is whose event loop does not turn, "" where it does."""
        timeout_s = self._settings.hang_timeout_s
        last_ns = max(row.cells[Cell.BEAT_NS], self._trust_after_ns)
        silent_s = (self._now_ns - last_ns) / 1e9
        if not timeout_s or silent_s < timeout_s:
            return ""
        if _is_stopped(pid):
            return f"has been stopped for {silent_s:.1f} s (SIGSTOP, or a debugger)"
        return f"hangs: its event loop has been blocked for {silent_s:.1f} s"

    def is_due(self, pid: int, row: Row, jitter: float) -> str:
        """Return which limit a worker has reached, "" where none; `jitter` in 0..1 is its own."""
        settings = self._settings
        spread = 1.0 + jitter * settings.limit_jitter_percent / 100.0
        if settings.max_requests and row.cells[Cell.WORK] >= settings.max_requests * spread:
            return f"has answered {row.cells[Cell.WORK]} requests (max_requests)"
        age_s = (self._now_ns - row.cells[Cell.BORN_NS]) / 1e9
        if settings.max_worker_age_s and age_s >= settings.max_worker_age_s * spread:
            return f"is {age_s:.0f} s old (max_worker_age_s)"
        if settings.max_worker_memory_bytes:
            used = memory_bytes(pid)
            if used > settings.max_worker_memory_bytes:
                return f"uses {used >> 20} MiB of memory (max_worker_memory_bytes)"
        return ""


def memory_bytes(pid: int) -> int:
    """Return how much memory a process has resident, shared pages included; 0 where nobody knows."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _is_stopped(pid: int) -> bool:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, IndexError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    return False
