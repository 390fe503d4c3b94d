"""What a check is: a question to the application through one way to it, and which answer is right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from stack.matrix.target import Target

__all__ = ["CHECKS", "Cell", "Check", "Differs", "Run", "Verdict", "check", "judge"]

Run = Callable[[Target], Awaitable[str]]
Verdict = Literal["pass", "differs", "fail"]
BOTH = (1, 2)


@dataclass(frozen=True)
class Differs:
    """Another outcome than the right one, and why it cannot be had there."""

    outcome: str
    reason: str


@dataclass(frozen=True)
class Check:
    """One row of the matrix. `run` returns the outcome, in a few words that never change."""

    name: str
    group: str
    about: str
    expect: str
    run: Run
    differs: Mapping[str, Differs] = field(default_factory=dict)
    replicas: tuple[int, ...] = BOTH
    disrupts: bool = False
    """Whether it takes processes away: such checks run alone, after the others."""
    local: str = ""
    """Why it can't be made with containers; empty if it can."""


@dataclass(frozen=True)
class Cell:
    """What one check found out about one target."""

    check: str
    target: str
    replicas: int
    verdict: Verdict
    outcome: str
    reason: str = ""
    """Why it differs, or what is wrong."""
    seconds: float = 0.0


CHECKS: dict[str, Check] = {}


def check(
    group: str,
    about: str,
    expect: str,
    *,
    differs: Mapping[str, Differs] | None = None,
    replicas: tuple[int, ...] = BOTH,
    disrupts: bool = False,
    local: str = "",
    name: str = "",
) -> Callable[[Run], Run]:
    """Register a check; its name is the function's, with hyphens. Raises ValueError if it is taken."""

    def register(run: Run) -> Run:
        key = name or getattr(run, "__name__", "").replace("_", "-")
        if key in CHECKS:
            raise ValueError(f"there are two checks {key}")
        CHECKS[key] = Check(key, group, about, expect, run, differs or {}, replicas, disrupts, local)
        return run

    return register


def judge(check: Check, target: str, outcome: str) -> tuple[Verdict, str]:
    """Return the verdict on an outcome, and the reason if it is not a pass."""
    known = check.differs.get(target)
    if known is None:
        return ("pass", "") if outcome == check.expect else ("fail", f"expected: {check.expect}")
    if outcome == known.outcome:
        return "differs", known.reason
    if outcome == check.expect:
        return "fail", f"it does not differ any more, but is said to ({known.outcome}): {known.reason}"
    return "fail", f"expected: {known.outcome} (which differs: {known.reason})"
