"""`./kit test`: style, types and tests, in the order in which they fail fastest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from stack.errors import KitError
from stack.state import ROOT

__all__ = ["test"]

STYLE = (
    ("ruff", "format", "--check", "--quiet"),
    ("ruff", "check", "--quiet"),
)
# What reads and writes the wire, and what applications make of it, has no branch that no test goes through.
COVERED = ("tests/protocols", "tests/messages")
# Side by side: these are busy, and wait for nothing.
BUSY = (
    ("mypy", "--no-error-summary"),
    (
        "pytest",
        "-q",
        *COVERED,
        "--cov=pierhead.protocols",
        "--cov=pierhead.messages",
        "--cov-branch",
        "--cov-fail-under=100",
        "--cov-report=term-missing:skip-covered",
    ),
)
FIXES = {"format": "ruff format", "check": "ruff check --fix, where it can"}
# Most tests wait most of the time, so that a core serves two processes; more than this many need much memory.
PROCESSES = min(2 * (os.cpu_count() or 1), 16)


def test(argv: Sequence[str]) -> int:
    """Run everything, or pytest alone with `argv`; ends as pytest ends. Raises KitError before that."""
    if not argv:
        for step in STYLE:
            print(f"$ {' '.join(step)}", flush=True)
            if run(step).returncode:
                raise failure(step)
        side_by_side(BUSY)
        argv = [f"--numprocesses={PROCESSES}", *(f"--ignore={folder}" for folder in COVERED)]
        print(f"$ pytest {' '.join(argv)}", flush=True)
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *argv])  # noqa: S606


def run(step: Sequence[str], *, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a step to its end; if `quiet`, the result has its output."""
    return subprocess.run(
        [sys.executable, "-m", *step],
        cwd=ROOT,
        check=False,
        text=True,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
    )


def side_by_side(steps: Sequence[Sequence[str]]) -> None:
    """Run steps at the same time, and show what each one said when it has ended. Raises KitError."""
    failed: list[Sequence[str]] = []
    with ThreadPoolExecutor() as pool:
        running = {pool.submit(run, step, quiet=True): step for step in steps}
        for ended in as_completed(running):
            step, result = running[ended], ended.result()
            print(f"$ {' '.join(step)}\n{result.stdout or ''}", end="", flush=True)
            if result.returncode:
                failed.append(step)
    if failed:
        raise failure(failed[0])


def failure(step: Sequence[str]) -> KitError:
    """Return what to say of a step that did not succeed."""
    fix = f"; to repair: {sys.executable} -m {FIXES[step[1]]}" if step[1] in FIXES else ""
    return KitError(f"{' '.join(step[:2])} found something, so the rest was not run{fix}")
