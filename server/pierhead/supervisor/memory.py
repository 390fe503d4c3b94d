"""Whether the kernel killed a process because its container, or service, has used its memory up.

Such a process dies by SIGKILL like any other; but its control group counts these deaths (cgroups(7)).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["OutOfMemory"]

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_RECENT_S = 5.0  # from the kernel's decision to a parent that notes the end: memory has to be given back


class OutOfMemory:
    """Counts them: `look` from time to time, and `happened` when a process was killed."""

    def __init__(self, root: Path = _ROOT, own: Path = _OWN) -> None:
        self._file = next((file for file in _candidates(root, own) if _kills(file) is not None), None)
        self._known = self._count()
        self._seen_at = -_RECENT_S

    def look(self, now: float) -> None:
        """Take note of what the kernel did until `now` (seconds, on any clock)."""
        before, self._known = self._known, self._count()
        if self._known > before:
            self._seen_at = now

    def happened(self, now: float) -> bool:
        """Tell whether the kernel has killed a process of this control group just now."""
        self.look(now)
        return now - self._seen_at < _RECENT_S

    def _count(self) -> int:
        return 0 if self._file is None else _kills(self._file) or 0


def _candidates(root: Path, own: Path) -> Iterator[Path]:
    """Yield the files that may have the count: by the group's path, or where that is a container's root."""
    lines = []
    with contextlib.suppress(OSError):
        lines = own.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            yield root / path.lstrip("/") / "memory.events"
            yield root / "memory.events"
        elif "memory" in controllers.split(","):
            yield root / "memory" / path.lstrip("/") / "memory.oom_control"
            yield root / "memory" / "memory.oom_control"


def _kills(file: Path) -> int | None:
    """Return the count in a file, None where it has none."""
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return None
