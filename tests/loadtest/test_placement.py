"""`--pin`: the load generator has a core of its own, and the servers have theirs back afterwards."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from loadtest import machine, placement
from loadtest.placement import NOWHERE, Placement, placed
from loadtest.targets import TargetError
from tests.kit import eventually

needs_two_cores = pytest.mark.skipif(len(machine.cores()) < 2, reason="there is one core")
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"


@needs_two_cores
def test_all_processes_of_all_roles_share_the_cores_that_are_not_the_loads() -> None:
    cores = machine.cores()
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE) as parent:
        eventually(lambda: len(machine.tree([parent.pid])) == 2, "the child is there")
        with placed({"app": [parent.pid], "gone": [2**22 + 1]}) as chosen:
            assert chosen == Placement((cores[-1],), tuple(cores[:-1]))
            assert [os.sched_getaffinity(pid) for pid in machine.tree([parent.pid])] == [set(cores[:-1])] * 2
        assert [os.sched_getaffinity(pid) for pid in machine.tree([parent.pid])] == [set(cores)] * 2
        parent.communicate(b"\n")


def test_somebody_else_can_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: [0, 1, 2])
    done: list[list[int]] = []
    with placed({"app": [1]}, lambda cores: done.append(list(cores))):
        assert done == [[0, 1]]
    assert done == [[0, 1], [0, 1, 2]]


def test_one_core_cannot_be_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: [0])
    with pytest.raises(TargetError, match="--pin needs two cores"), placed({}):
        pytest.fail("there is one core")


def test_a_process_of_another_user_cannot_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, cores: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refused)
    with pytest.raises(TargetError, match=r"another user's, and cannot be bound .* leave --pin out"):
        placement.bind([os.getpid()], [0])


def test_a_placement_is_said_in_words() -> None:
    assert str(NOWHERE) == "not pinned: all share the cores"
    assert str(Placement((3,), (0, 1, 2))) == "pinned: load generator to core 3, servers to cores 0, 1, 2"
