"""What roles cost: all their processes together, found from the stack's status."""

from __future__ import annotations

import os
import subprocess
import sys

from loadtest import machine
from loadtest.roles import Watch, processes
from tests.kit import eventually


def test_the_processes_of_a_role_are_those_of_all_its_replicas() -> None:
    status: dict[str, dict[str, object]] = {
        "app": {"pid": 1, "replicas": [{"pid": 1}, {"pid": 2}]},
        "nginx": {"pid": 3},
        "elsewhere": {"url": "http://x"},
    }
    assert processes(status) == {"app": [1, 2], "nginx": [3]}


def test_children_count_as_their_parent() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        eventually(lambda: len(machine.tree([parent.pid])) == 2, "the child is there")
        watch = Watch({"app": [parent.pid], "gone": [2**22 + 1]})
        cpu, memory = watch.stop()
        parent.communicate(b"\n")
    assert cpu["app"] >= 0
    assert memory["app"] > 2**20
    assert (cpu["gone"], memory["gone"]) == (0, 0)
    assert os.getpid() in machine.tree([os.getpid()])
