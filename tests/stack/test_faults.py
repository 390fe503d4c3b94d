"""What happens to a stack on purpose leaves it well, and with new processes where that is the point."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stack import faults
from stack.errors import KitError
from stack.process import Process, identity, program
from stack.state import Run, State
from tests.kit import Kit


def pids(kit: Kit) -> dict[str, int]:
    """The main process of each role; the second replica is `app-2`."""
    deadline = time.monotonic() + 60  # the database is there before the others have noticed
    status = kit.status()
    while not all(one["healthy"] for one in status.values()):
        assert time.monotonic() < deadline, status
        status = kit.status()
    found = {role: int(facts["pid"]) for role, facts in status.items()}
    return found | {one["name"]: int(one["pid"]) for one in status["app"]["replicas"]}


def test_after_each_fault_the_stack_is_well(kit: Kit) -> None:
    kit("up", "--detach", "--ports", "auto", "--only", "nginx,caddy")
    state = State(kit.state)
    before = pids(kit)
    assert "nginx was told to reload" in faults.cause(state, "reload", "nginx")
    with pytest.raises(KitError, match=r"the path of its socket is too long, or has a space"):
        faults.cause(state, "reload", "caddy")
    run = state.load()
    assert run is not None
    generations = [faults.generations(record) for record in faults.of_role(run, "app")]
    assert "one after the other" in faults.cause(state, "roll", "nginx")
    for record, old in zip(faults.of_role(run, "app"), generations, strict=True):
        assert not faults.generations(record) & old
    assert pids(kit) == before  # the masters are the same
    assert "app-2 was killed" in faults.cause(state, "kill", "nginx")
    killed = pids(kit)
    assert {role for role in killed if killed[role] != before[role]} == {"app-2"}
    assert faults.cause(state, "database", "nginx") == "PostgreSQL was restarted"
    assert {role for role, pid in pids(kit).items() if pid != killed[role]} == {"db"}
    with pytest.raises(KitError, match=r"apache is not running"):
        faults.cause(state, "reload", "apache")
    with pytest.raises(KitError, match=r"no fault 'fire'; there are: reload, roll, kill, database"):
        faults.cause(state, "fire", "nginx")


def test_a_stack_that_is_not_there_or_is_followed_is_left_alone(tmp_path: Path) -> None:
    state = State(tmp_path)
    with pytest.raises(KitError, match=r"the stack is not running"):
        faults.cause(state, "kill", "nginx")
    me = Process(os.getpid(), identity(os.getpid()) or "", program(os.getpid()))
    state.save(Run(me, "now"))
    with pytest.raises(KitError, match=r"start it with ./kit up --detach"):
        faults.cause(state, "kill", "nginx")
    state.save(Run(None, "now"))
    with pytest.raises(KitError, match=r"app is not running"):
        faults.cause(state, "roll", "nginx")
