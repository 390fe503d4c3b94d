"""Clears away what an interrupted run leaves behind: processes, containers, and folders of stacks.

Each run has a mark, which is in the environment of what it starts and in the names of folders and containers.
Tests tidy up after themselves; this is for those that do not get to it, since with several processes pytest
ends the others when it is interrupted.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["begin", "clear", "mark"]

VARIABLE = "PIERHEAD_TEST_RUN"
GRACE_S = 10.0
KINDS = {"container": ("--all",), "network": (), "volume": (), "image": ()}


def begin() -> None:
    """Give this run a mark. One that was started by a test of another has the mark of both."""
    os.environ[VARIABLE] = "/".join([*filter(None, [os.environ.get(VARIABLE)]), secrets.token_hex(4)])


def mark() -> str:
    """Return the mark of this run."""
    return os.environ.get(VARIABLE, "").rpartition("/")[2] or "alone"


def clear() -> None:
    """Stop and remove all that has the mark of this run, and what is descended from us."""
    for worker in children(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGSTOP)  # it starts nothing more
    descended = set(descendants(os.getpid()))
    deadline = time.monotonic() + GRACE_S
    while found := {pid for pid in descended if is_there(pid)} | set(marked()):
        late = time.monotonic() > deadline
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late or pid in descended else signal.SIGTERM)
        if time.monotonic() > deadline + GRACE_S:
            break
        time.sleep(0.2)
    for folder in Path(tempfile.gettempdir()).glob(f"pierhead test {mark()} *"):
        shutil.rmtree(folder, ignore_errors=True)
    if shutil.which("docker"):
        for kind, options in KINDS.items():
            remove(kind, options)


def remove(kind: str, options: tuple[str, ...]) -> None:
    """Remove containers, networks, volumes or images whose names have the mark."""
    name = "{{.Names}}" if kind == "container" else "{{.Repository}}" if kind == "image" else "{{.Name}}"
    listed = subprocess.run(
        ["docker", kind, "ls", *options, "--format", name], capture_output=True, text=True, check=False
    )
    ours = sorted({line for line in listed.stdout.split() if f"pierhead-test-{mark()}-" in line})
    if ours:
        subprocess.run(["docker", kind, "rm", "--force", *ours], capture_output=True, check=False)


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yield the children of a process, theirs, and so on."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def marked() -> Iterator[int]:
    """Yield the processes, but this one, whose environment or arguments have the mark."""
    sought = mark().encode()
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            facts = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
            if sought in facts and int(place.name) != os.getpid() and is_there(int(place.name)):
                yield int(place.name)


def is_there(pid: int) -> bool:
    """Tell whether a process runs; one that has ended may wait for its parent to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
