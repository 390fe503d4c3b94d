"""What the system knows about processes and cores: pinning, processor time, memory.

From Linux's /proc; elsewhere there is less to know.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Cpu",
    "about",
    "busy_s",
    "cores",
    "cpu_of",
    "forget_peaks",
    "memory_of",
    "peak_of",
    "pinned",
    "raise_file_limit",
    "resident_of",
    "tree",
]

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """Processor time of some processes, in seconds."""

    user_s: float = 0.0
    system_s: float = 0.0

    @property
    def total_s(self) -> float:
        """User and system together."""
        return self.user_s + self.system_s

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.user_s - earlier.user_s, self.system_s - earlier.system_s)


def cores() -> list[int]:
    """Return the numbers of the cores that we may use; [] where a process can't be bound to one."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def pinned(chosen: Iterable[int]) -> Iterator[None]:
    """Bind this thread, and what it starts in the block, to some cores; to none in particular if empty."""
    chosen = set(chosen)
    if not chosen:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_of(pids: Iterable[int]) -> Cpu:
    """Return the processor time that these processes have used so far, without children that have ended."""
    user = system = 0
    for pid in pids:
        try:
            text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        fields = text[text.rindex(")") + 2 :].split()  # proc(5): after the name, state is the first
        user += int(fields[11])
        system += int(fields[12])
    return Cpu(user / TICKS_PER_S, system / TICKS_PER_S)


def tree(roots: Iterable[int]) -> list[int]:
    """Return these processes that run, and all that they started, directly or not."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir() if PROC.is_dir() else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                parent = int(text[text.rindex(")") + 2 :].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid for pid in roots if (PROC / str(pid)).exists()]
    while waiting:
        found.append(pid := waiting.pop())
        waiting += children.get(pid, [])
    return found


def busy_s(chosen: Iterable[int]) -> float | None:
    """Return how long these cores have run programs since the system started, interrupts left out.

    None where the system does not say.
    """
    names = {f"cpu{number}" for number in chosen}
    try:
        lines = (PROC / "stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    total = 0
    for line in lines:
        name, *fields = line.split()
        if name in names:
            total += sum(int(field) for field in fields[:3])  # user, nice, system
    return total / TICKS_PER_S


def memory_of(pids: Iterable[int]) -> tuple[int, str]:
    """Return the bytes of memory of some processes, and how they were counted: PSS, or RSS.

    PSS counts a page that several share in parts, so that the sum is right; RSS counts it several times.
    """
    pids = list(pids)
    for file, field, name in (("smaps_rollup", "Pss:", "PSS"), ("status", "VmRSS:", "RSS")):
        found = [kib for pid in pids if (kib := field_of(PROC / str(pid) / file, field)) is not None]
        if found:
            return sum(found) * 1024, name
    return 0, ""


def resident_of(pids: Iterable[int]) -> int:
    """Return the resident memory of these processes now, in bytes, summed."""
    return sum(field_of(PROC / str(pid) / "status", "VmRSS:") or 0 for pid in pids) * 1024


def forget_peaks(pids: Iterable[int]) -> None:
    """Let `peak_of` count from now on."""
    for pid in pids:
        with contextlib.suppress(OSError):
            (PROC / str(pid) / "clear_refs").write_text("5", encoding="ascii")


def peak_of(pids: Iterable[int]) -> int:
    """Return the most resident memory that each process had since `forget_peaks`, in bytes, summed."""
    return sum(field_of(PROC / str(pid) / "status", "VmHWM:") or 0 for pid in pids) * 1024


def field_of(file: Path, field: str) -> int | None:
    """Return the number after `field` in a file of /proc; None if there is none."""
    with contextlib.suppress(OSError):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(field):
                return int(line.split()[1])
    return None


def raise_file_limit(wanted: int) -> int:
    """Allow this process, and what it starts, up to `wanted` open files; return how many it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft


def about() -> dict[str, Any]:
    """Return what of this machine a reader of results wants to know."""
    memory = field_of(PROC / "meminfo", "MemTotal:")
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "usable_cores": cores(),
        "memory_bytes": None if memory is None else memory * 1024,
        "open_files_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


def processor() -> str:
    """Return the name of the processor."""
    with contextlib.suppress(OSError):
        for line in (PROC / "cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
