"""What each role of the stack costs while it is measured: processor time and memory of all its processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest import machine

__all__ = ["Usage", "Watch", "processes"]

Usage = dict[str, float]


def processes(status: Mapping[str, Mapping[str, Any]]) -> dict[str, list[int]]:
    """Return role -> ids of its main processes, from what `./kit status --json` says."""
    found: dict[str, list[int]] = {}
    for role, facts in status.items():
        pids = [one.get("pid") for one in facts.get("replicas", (facts,))]
        if known := [pid for pid in pids if isinstance(pid, int)]:
            found[role] = known
    return found


class Watch:
    """The processor time that roles use from its making to `stop`.

    Processes that end meanwhile take theirs with them; those that begin are counted from their start.
    """

    def __init__(self, roles: Mapping[str, list[int]]) -> None:
        self.roles = roles
        self.before = {role: self.cpu_s(role) for role in roles}

    def cpu_s(self, role: str) -> float:
        """Return the processor time of a role's processes so far."""
        return machine.cpu_of(machine.tree(self.roles[role])).total_s

    def stop(self) -> tuple[Usage, Usage]:
        """Return role -> seconds of processor time, and role -> bytes of memory now."""
        cpu = {role: max(0.0, self.cpu_s(role) - self.before[role]) for role in self.roles}
        memory = {role: float(machine.memory_of(machine.tree(pids))[0]) for role, pids in self.roles.items()}
        return cpu, memory
