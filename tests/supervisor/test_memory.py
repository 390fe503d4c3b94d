"""Whether the kernel killed a process for lack of memory, as control groups count it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pierhead.supervisor.memory import OutOfMemory

V1 = "5:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n0::/\n"
V2 = "0::/system.slice/shop.service\n"
PLACES = {
    "version 1, in its container": (V1, "memory/memory.oom_control"),
    "version 1, by its path": (V1, "memory/docker/ab/memory.oom_control"),
    "version 2, in its container": ("0::/\n", "memory.events"),
    "version 2, by its path": (V2, "system.slice/shop.service/memory.events"),
    "version 2, a container that does not know its own path": (V2, "memory.events"),
}


def count(file: Path, kills: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"oom_kill_disable 0\nunder_oom 0\noom 7\noom_kill {kills}\n")


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_that_is_counted_is_noticed_for_some_seconds(tmp_path: Path, place: str) -> None:
    own = tmp_path / "own"
    own.write_text(PLACES[place][0])
    file = tmp_path / PLACES[place][1]
    count(file, 3)
    found = OutOfMemory(tmp_path, own)
    assert not found.happened(now=0.0), "those from before do not matter"
    count(file, 4)
    assert found.happened(now=1.0)
    assert found.happened(now=2.0), "several may have been killed"
    assert not found.happened(now=60.0)
    count(file, 5)
    found.look(now=61.0)
    assert found.happened(now=62.0), "who looked before the end was known remembers it"


@pytest.mark.parametrize("own", [None, "", V2])
def test_where_nobody_counts_nothing_is_claimed(tmp_path: Path, own: str | None) -> None:
    if own is not None:
        (tmp_path / "own").write_text(own)
    assert not OutOfMemory(tmp_path, tmp_path / "own").happened(now=0.0)
