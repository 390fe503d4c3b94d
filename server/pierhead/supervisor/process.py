"""Facts about processes: how they ended, who they are."""

from __future__ import annotations

import contextlib
import grp
import math
import os
import pwd
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pierhead.config import Settings

__all__ = ["available_cores", "describe_exit", "drop_privileges", "end_with_parent", "reap", "reap_these"]


_PR_SET_PDEATHSIG = 1


def available_cores() -> int:
    """Return how many cores this process may use: affinity and the cgroup's quota (v2 or v1), at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    with contextlib.suppress(OSError, ValueError):
        folder = Path("/sys/fs/cgroup/cpu")
        limit = int((folder / "cpu.cfs_quota_us").read_text())
        if limit > 0:
            cores = min(cores, math.ceil(limit / int((folder / "cpu.cfs_period_us").read_text())))
    return max(1, cores)


def describe_exit(status: int) -> str:
    """Say how a process ended, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}"


def reap() -> Iterator[tuple[int, int]]:
    """Yield (pid, wait status) of every child that ended: as process 1, adopted ones too."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def reap_these(pids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (pid, wait status) of those children that ended; others may be somebody else's to wait for."""
    for pid in pids:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            yield pid, status


def drop_privileges(settings: Settings) -> None:
    """Become `user` and `group`, and set `umask`, where they are set.

    Raises LookupError for a name there is not, PermissionError unless started as root.
    """
    if settings.umask is not None:
        os.umask(settings.umask)
    if not settings.user and not settings.group:
        return
    try:
        user = pwd.getpwnam(settings.user) if settings.user else None
    except KeyError:
        raise LookupError(f"user: this system has no user {settings.user!r}") from None
    try:
        group = (
            grp.getgrnam(settings.group).gr_gid if settings.group else user.pw_gid if user else os.getgid()
        )
    except KeyError:
        raise LookupError(f"group: this system has no group {settings.group!r}") from None
    try:
        if user is not None and os.geteuid() == 0:
            os.initgroups(user.pw_name, group)
        os.setgid(group)
        if user is not None:
            os.setuid(user.pw_uid)
            os.environ["HOME"] = user.pw_dir
    except PermissionError:
        raise PermissionError("user and group can only be changed when started as root") from None


def end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent dies, however that dies (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
