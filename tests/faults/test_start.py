"""Starts that fail, hang or are called off, in real processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.supervisor.harness import APP, Load, Pierhead, alive, eventually, parent_of

SAY = "print('hanging', file=sys.stderr, flush=True)"
IMPORTS = "import sys\n" + APP
HANGS = {
    "import": f"import sys, time\n{SAY}\ntime.sleep(600)\n",
    "master hook": f"{IMPORTS}\n@app.on_start(per='master')\ndef hang():\n    {SAY}\n    time.sleep(600)\n",
    "worker hook": f"{IMPORTS}\n@app.on_start\nasync def hang():\n    {SAY}\n    await asyncio.sleep(600)\n",
    "blocking hook": f"{IMPORTS}\n@app.on_start\nasync def hang():\n    {SAY}\n    time.sleep(600)\n",
}
HANGING = pytest.mark.parametrize("where", HANGS)


def hanging(folder: Path, where: str, *options: str) -> Pierhead:
    server = Pierhead(folder, *options, source=HANGS[where], ready=False)
    server.wait_for_log("hanging")
    return server


@HANGING
def test_a_start_can_be_called_off(tmp_path: Path, where: str) -> None:
    with hanging(tmp_path, where) as server:
        server.signal(signal.SIGTERM)
        assert server.wait(40) == 0, "it waits neither for start_timeout_s nor for what hangs"
        # What waits is told; only what blocks its process has to be killed, after a grace.
        assert ("does not leave; killing it" in server.log) == (where == "blocking hook")
        eventually(lambda: not any(map(alive, server.pids)), "all processes leave")


@HANGING
def test_when_the_master_is_killed_a_start_ends_too(tmp_path: Path, where: str) -> None:
    with hanging(tmp_path, where) as server:
        others = server.note_processes()
        assert others
        server.process.kill()
        server.wait()
        eventually(lambda: not any(map(alive, others)), "the others leave")


def test_a_reload_that_hangs_does_not_hold_a_stop_up(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        server.write(HANGS["import"])
        server.signal(signal.SIGHUP)
        server.wait_for_log("hanging")
        assert server.get()[0] == 200
        server.signal(signal.SIGTERM)
        assert server.wait(40) == 0


def test_a_start_that_takes_too_long_is_exit_code_3_and_says_so(tmp_path: Path) -> None:
    with hanging(tmp_path, "worker hook", "--start-timeout-s", "0.3") as server:
        assert server.wait() == 3
        server.wait_for_log("did not start within start_timeout_s=0.3")


def test_a_generation_that_is_killed_while_it_imports_changes_nothing(tmp_path: Path) -> None:
    with Pierhead(tmp_path) as server:
        with Load(server).running() as load:
            server.write(HANGS["import"])
            server.signal(signal.SIGHUP)
            server.wait_for_log("hanging")
            (generation,) = server.note_processes() - server.workers() - generations_that_serve(server)
            os.kill(generation, signal.SIGKILL)
            server.wait_for_log("reload failed; the code from before goes on serving")
            load.more()
        assert load.failed == []


def test_code_that_is_mended_while_it_still_fails_to_start_is_taken_up(tmp_path: Path) -> None:
    broken = (
        "import os, sys, time\nprint('importing', file=sys.stderr, flush=True)\n"
        "while not os.path.exists('mended'):\n    time.sleep(0.01)\n"
        "time.sleep(1.5)  # by now it was noticed\nraise RuntimeError('broken')\n"
    )
    with Pierhead(tmp_path, "--reload", source=broken, ready=False) as server:
        server.wait_for_log("importing")
        server.write(APP)
        (tmp_path / "mended").touch()
        server.wait_for_log("RuntimeError: broken")
        server.wait_for_log("generation 2 serves on")


def test_a_reload_that_fails_while_another_takes_a_dead_ones_place_stops_nothing(tmp_path: Path) -> None:
    """The generation that served was killed during the reload: another one is on its way."""
    slow = (
        "import os, time\n"
        "def until(name):\n    while not os.path.exists(name):\n        time.sleep(0.01)\n"
        "if not os.path.exists('second'):\n    open('second', 'w').close()\n    until('fail')\n"
        "    raise RuntimeError('broken')\n"
        "if not os.path.exists('third'):\n    open('third', 'w').close()\n    until('go')\n"
    )
    with Pierhead(tmp_path) as server:
        server.write(slow + APP)
        server.signal(signal.SIGHUP)
        eventually((tmp_path / "second").exists, "the second generation imports")
        (serving,) = generations_that_serve(server)
        os.kill(serving, signal.SIGKILL)
        eventually((tmp_path / "third").exists, "the third generation imports")
        (tmp_path / "fail").touch()
        server.wait_for_log("RuntimeError: broken")
        eventually(lambda: len(children_of(server)) == 1, "the second is gone")
        (tmp_path / "go").touch()
        server.wait_for_log("generation 3 serves on")
        server.signal(signal.SIGHUP)
        server.wait_for_log("generation 4 serves on")
        assert server.get()[0] == 200


def children_of(server: Pierhead) -> set[int]:
    """Return the generations that there are."""
    return {pid for pid in server.note_processes() if parent_of(pid) == server.process.pid and alive(pid)}


def generations_that_serve(server: Pierhead) -> set[int]:
    """Return the generations that have workers."""
    return {parent_of(pid) for pid in server.workers()}


CRASHING = APP + (
    "\n@app.on_start\nasync def crash():\n"
    "    if os.path.exists(os.path.join(os.path.dirname(__file__), 'crash')):\n        os._exit(9)\n"
)


def test_workers_that_crash_before_they_are_ready_are_tried_again_less_and_less_often(tmp_path: Path) -> None:
    with Pierhead(tmp_path, source=CRASHING) as server:
        (tmp_path / "crash").touch()
        victim = server.workers().pop()
        with Load(server).running() as load:
            os.kill(victim, signal.SIGKILL)
            server.wait_for_log("exited with code 9 before it was ready; next try in 1 s")
            server.wait_for_log("exited with code 9 before it was ready; next try in 2 s")
            load.more()
            (tmp_path / "crash").unlink()
            eventually(lambda: len(server.workers() - {victim}) == 2, "a replacement, once it starts")
        assert len(load.failed) <= 4, load.failed


def test_an_access_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "access.log"
    with Pierhead(tmp_path, "--access-log", str(path), ready=False) as server:
        assert server.wait() == 3
        server.wait_for_log(f"cannot write access_log {path}: No such file or directory")
        assert "Traceback" not in server.log


def test_a_full_disk_under_the_access_log_costs_no_answer(tmp_path: Path) -> None:
    with Pierhead(tmp_path, "--access-log", "/dev/full") as server:
        with Load(server).running() as load:
            load.more()
        assert load.failed == []
        server.wait_for_log("the access log cannot be written to /dev/full: No space left on device")
