"""Back-off: how long to wait before a process that keeps dying is started again."""

from __future__ import annotations

from collections import deque

__all__ = ["Backoff"]

_FIRST_S = 1.0
_LONGEST_S = 30.0


class Backoff:
    """Counts failures: the first `free` within `window_s` seconds are excused, later ones cost time."""

    def __init__(self, free: int = 0, window_s: float = 10.0) -> None:
        self.free = free
        self._window_s = window_s
        self._recent: deque[float] = deque()
        self._in_a_row = 0

    def failed(self, now: float) -> float:
        """Note a failure; returns for how many seconds to wait: 0, or 1, 2, 4 ... 30."""
        self._recent.append(now)
        while self._recent[0] < now - self._window_s - _LONGEST_S * bool(self._in_a_row):
            self._recent.popleft()
        if len(self._recent) <= self.free:
            self._in_a_row = 0
            return 0.0
        self._in_a_row += 1
        return min(_FIRST_S * 2.0 ** (self._in_a_row - 1), _LONGEST_S)

    def recovered(self) -> None:
        """Forget all failures."""
        self._recent.clear()
        self._in_a_row = 0
