"""File descriptors: how many connections a process may hold before it has none left for anything else."""

from __future__ import annotations

import errno
import os

__all__ = ["EXHAUSTED", "connection_budget", "raise_limit"]

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accept(2) fails with where the process or the system has no room for a connection."""

_MOST = 1 << 20


def raise_limit() -> None:
    """Raise the process's own limit of descriptors to what it may be; what it starts later inherits that."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):  # macOS has another limit still
            return


def connection_budget() -> int:
    """Return how many connections fit below RLIMIT_NOFILE, at least 1.

    A reserve is kept for what the application opens meanwhile: files, uploads, connections to a database. It
    is an eighth of the limit, but not less than 32 and not more than 1024, beyond what is open already.
    """
    try:
        import resource
    except ImportError:
        return _MOST
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(1, soft - min(1024, max(32, soft // 8)) - _open_descriptors())


def _open_descriptors() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder))  # noqa: PTH208 - a folder that only counts
        except OSError:
            continue
    return 32
