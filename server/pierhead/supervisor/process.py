"""Facts about processes: how they ended, who has them."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pierhead

__all__ = [
    "available_cores",
    "describe_exit",
    "end_with_parent",
    "exit_facts",
    "fresh_python",
    "reap",
    "reap_these",
]

# The directory of the package is appended, so that the fresh process finds it however this one did, and
# nothing in it hides a module of the standard library.
_START = (
    "import importlib, sys; sys.path.append(sys.argv[1]); main = importlib.import_module(sys.argv[2]).main;"
    " sys.exit(main(*map(int, sys.argv[3:])))"
)

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


def fresh_python(module: str, *arguments: int) -> list[str]:
    """Return the command of a fresh interpreter that calls `main` of a module of the server."""
    folder = str(Path(pierhead.__file__).parent.parent)
    return [sys.executable, "-P", "-c", _START, folder, module, *map(str, arguments)]


def describe_exit(status: int) -> str:
    """Say how a process ended, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    return f"was killed by {_signal_name(-code)}"


def exit_facts(status: int) -> dict[str, Any]:
    """Return how a process ended, from its wait status, as fields of a log record."""
    code = os.waitstatus_to_exitcode(status)
    return {"exit_code": code} if code >= 0 else {"signal": _signal_name(-code)}


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


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send a signal to this process when its parent dies, however that dies (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
