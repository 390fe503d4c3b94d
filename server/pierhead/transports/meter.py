"""What one worker counts about its responses, at a cost that every request can bear."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["BOUNDS_S", "Meter"]

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the classes that durations are counted in, in seconds; the last class has none."""
_FIRST_BOUND_S = BOUNDS_S[0]


class Meter:
    """Counters that only grow, from the start of the process on."""

    __slots__ = ("body_bytes", "durations", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        """How many responses had each status; refused requests and those without a response (499) as well."""
        self.durations = [0] * (len(BOUNDS_S) + 1)
        """How many took a time within each class of BOUNDS_S."""
        self.seconds = 0.0
        """The time that all of them took."""
        self.body_bytes = 0
        """The bytes of all bodies that were sent, as the application gave them."""

    def note(self, status: int, body_bytes: int, duration_s: float) -> None:
        """Count one response."""
        try:
            self.statuses[status] += 1
        except KeyError:
            self.statuses[status] = 1
        self.durations[bisect_left(BOUNDS_S, duration_s) if duration_s > _FIRST_BOUND_S else 0] += 1
        self.seconds += duration_s
        self.body_bytes += body_bytes
