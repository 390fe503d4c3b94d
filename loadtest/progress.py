"""How long a run takes: what was supposed beforehand, corrected by how long its parts have taken."""

from __future__ import annotations

import time

__all__ = ["Progress", "duration"]


class Progress:
    """Begins with its making; `estimate_s` is what the run is supposed to take."""

    def __init__(self, estimate_s: float = 0.0) -> None:
        self.left_s = estimate_s
        self.done_s = 0.0
        self.began = time.monotonic()

    def done(self, estimate_s: float) -> None:
        """Note that a part is over which was supposed to take so long."""
        self.done_s += estimate_s
        self.left_s -= estimate_s

    def left(self) -> str:
        """Return how long the rest takes, if it is as slow or as quick as what was before."""
        factor = (time.monotonic() - self.began) / self.done_s if self.done_s else 1.0
        return f"{duration(max(self.left_s, 0.0) * factor)} left"


def duration(seconds: float) -> str:
    """Return a time as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} min"
