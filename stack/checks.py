"""`./kit test`: style, types and tests, in the order in which they fail fastest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from stack.errors import KitError
from stack.state import ROOT

__all__ = ["test"]

STEPS = (
    ("ruff", "format", "--check", "--quiet"),
    ("ruff", "check", "--quiet"),
    ("mypy", "--no-error-summary"),
)
# What reads and writes the wire, and what applications make of it, has no branch that no test goes through.
COVERED = ("tests/protocols", "tests/messages")
COVERAGE = (
    "pytest",
    "-q",
    *COVERED,
    "--cov=pierhead.protocols",
    "--cov=pierhead.messages",
    "--cov-branch",
    "--cov-fail-under=100",
    "--cov-report=term-missing:skip-covered",
)
FIXES = {"format": "ruff format", "check": "ruff check --fix, where it can"}


def test(argv: Sequence[str]) -> int:
    """Run everything, or pytest alone with `argv`; ends as pytest ends. Raises KitError before that."""
    if not argv:
        for step in (*STEPS, COVERAGE):
            print(f"$ {' '.join(step)}", flush=True)
            if subprocess.run([sys.executable, "-m", *step], cwd=ROOT, check=False).returncode:
                fix = f"; to repair: {sys.executable} -m {FIXES[step[1]]}" if step[1] in FIXES else ""
                raise KitError(f"{' '.join(step[:2])} found something, so the rest was not run{fix}")
        argv = [f"--ignore={folder}" for folder in COVERED]
        print(f"$ pytest {' '.join(argv)}", flush=True)
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *argv])  # noqa: S606
