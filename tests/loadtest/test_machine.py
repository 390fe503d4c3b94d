"""What the system says about processes: believable figures for ones whose doings are known."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadtest import machine

ME = [os.getpid()]


def test_processor_time_grows_with_work() -> None:
    before = machine.cpu_of(ME)
    deadline = time.monotonic() + 60
    while (machine.cpu_of(ME) - before).total_s < 0.05:
        assert time.monotonic() < deadline
    assert (machine.cpu_of(ME) - before).user_s > 0


def test_processes_that_are_gone_count_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert machine.cpu_of([process.pid]).total_s == 0
    assert machine.memory_of([process.pid]) == (0, "")
    machine.forget_peaks([process.pid])


def test_memory_is_counted_and_its_peak_remembered() -> None:
    size, counted = machine.memory_of(ME)
    assert counted == "PSS"
    assert size > 2**20
    machine.forget_peaks(ME)
    before = machine.peak_of(ME)
    with mmap.mmap(-1, 32 * 2**20) as block:  # new pages: an allocator might use some that it has
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
    assert machine.peak_of(ME) - before > 16 * 2**20
    assert machine.resident_of(ME) > 0


def test_what_is_started_while_pinned_stays_there() -> None:
    cores = machine.cores()
    code = "import os; print(os.sched_getaffinity(0))"
    with machine.pinned(cores[-1:]):
        seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert seen.strip() == str(set(cores[-1:]))
    assert machine.cores() == cores
    with machine.pinned([]):
        assert machine.cores() == cores


def test_a_core_says_how_long_it_was_busy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu 9 9 9 9\ncpu0 100 200 300 4000\ncpu1 1 1 1 1\ncpu10 5 5 5 5\n")
    monkeypatch.setattr(machine, "PROC", tmp_path)
    monkeypatch.setattr(machine, "TICKS_PER_S", 100)
    assert machine.busy_s([0]) == 6.0
    assert machine.busy_s([0, 1]) == 6.03
    monkeypatch.setattr(machine, "PROC", tmp_path / "nowhere")
    assert machine.busy_s([0]) is None


def test_a_machine_is_described() -> None:
    about = machine.about()
    assert about["system"] == os.uname().sysname
    assert about["memory_bytes"] > 2**20
    assert about["processor"]
