"""Locust is loaded once and run many times; a run that hangs or is interrupted leaves nothing behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest import spawner as module
from loadtest.spawner import Spawner, SpawnerError
from tests.kit import eventually

ECHO = """\
import json, os, sys, time
for line in sys.stdin:
    order = json.loads(line)
    open(order["output"], "w").write(" ".join(order["words"]))
    for word in order["words"]:
        if word.startswith("/"):
            open(word, "w").close()
    time.sleep(float(order["env"]["SECONDS"]))
    print(len(order["words"]), flush=True)
"""


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spawner]:
    """One with a stand-in for locust, which says its words and returns their number."""
    program = tmp_path / "echo.py"
    program.write_text(ECHO)
    monkeypatch.setattr(module, "PROGRAM", program)
    with Spawner() as one:
        yield one


def gone(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_program_does_all_runs(quick: Spawner) -> None:
    assert quick.run(["a", "b"], {"SECONDS": "0"}, timeout_s=30) == (2, "a b")
    assert quick.process
    pid = quick.process.pid
    assert quick.run(["c"], {"SECONDS": "0"}, timeout_s=30) == (1, "c")
    assert quick.process.pid == pid
    quick.close()
    assert gone(pid)


def test_a_run_that_hangs_is_ended_and_the_next_one_works(quick: Spawner) -> None:
    quick.run([], {"SECONDS": "0"}, timeout_s=30)
    assert quick.process
    pid = quick.process.pid
    with pytest.raises(SpawnerError, match=r"still running after 0\.1 s"):
        quick.run([], {"SECONDS": "60"}, timeout_s=0.1)
    assert gone(pid)
    assert quick.run(["again"], {"SECONDS": "0"}, timeout_s=30)[0] == 1


def test_an_interrupted_run_is_ended(quick: Spawner) -> None:
    quick.run([], {"SECONDS": "0"}, timeout_s=30)
    assert quick.process
    pid = quick.process.pid
    main = threading.main_thread().ident
    assert main
    begun = module.PROGRAM.with_name("begun")

    def interrupt() -> None:
        eventually(begun.exists, "the run has begun")
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        quick.run([str(begun)], {"SECONDS": "600"}, timeout_s=600)
    thread.join()
    eventually(lambda: gone(pid), "it has ended")


def test_another_thread_can_end_a_run(quick: Spawner) -> None:
    begun = module.PROGRAM.with_name("begun")
    failed: list[Exception] = []

    def run() -> None:
        try:
            quick.run([str(begun)], {"SECONDS": "600"}, timeout_s=600)
        except (SpawnerError, ValueError) as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(begun.exists, "the run has begun")
    quick.end(0)
    thread.join()
    assert failed


def test_what_cannot_be_loaded_is_an_error(quick: Spawner) -> None:
    module.PROGRAM.write_text("import nothing_of_that_name")
    with pytest.raises(SpawnerError, match="could not be loaded"):
        quick.run([], {"SECONDS": "0"}, timeout_s=30)


def test_timers_of_a_run_begin_with_it(spawner: Spawner, tmp_path: Path) -> None:
    file = tmp_path / "load.py"
    file.write_text("import gevent\nprint('loop', gevent.get_hub().loop.now())\n")
    spawner.run(["-f", str(file)], {}, timeout_s=60)  # the loop of what is forked now saw the time then
    ordered = time.time()
    _, said = spawner.run(["-f", str(file)], {}, timeout_s=60)
    (now,) = (float(line.split()[1]) for line in said.splitlines() if line.startswith("loop"))
    assert now >= ordered
