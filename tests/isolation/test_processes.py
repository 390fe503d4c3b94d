"""The lives of isolated processes: whose they are, and that none is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pierhead.cli.status import fetch, render
from tests.isolation.harness import APP, answer, begun, busy, isolated_processes
from tests.supervisor.harness import Load, Pierhead, alive, eventually, parent_of


def test_whoever_is_killed_takes_its_processes_along_and_is_replaced(tmp_path: Path) -> None:
    """Also those that are stopped; first a nursery is killed, then a worker, then the master."""
    with Pierhead(tmp_path, source=APP, workers=1) as server:
        (worker,) = server.workers()
        pid = answer(server)["pid"]
        os.kill(parent_of(pid), signal.SIGKILL)
        eventually(lambda: not alive(pid) and not alive(worker), "nursery, process and worker leave")
        eventually(lambda: alive_and_other(server, worker), "another worker")

        pid = answer(server)["pid"]
        nursery, (worker,) = parent_of(pid), server.workers()
        for each in (pid, nursery):
            os.kill(each, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: not alive(pid) and not alive(nursery), "nursery and process leave")
        eventually(lambda: alive_and_other(server, worker), "another worker")

        answer(server)
        everybody = server.note_processes()
        assert len(everybody) >= 4
        os.kill(server.process.pid, signal.SIGKILL)
        eventually(lambda: not any(map(alive, everybody)), "all leave")


def test_a_nursery_that_is_stopped_is_found_and_its_worker_replaced(tmp_path: Path) -> None:
    """Nobody else can kill a process whose time is over: its client would wait for ever."""
    options = ["--isolation-timeout-s", "2", "--hang-timeout-s", "8"]
    with Pierhead(tmp_path, *options, source=APP, workers=1) as server:
        (worker,) = server.workers()
        nursery = parent_of(answer(server)["pid"])
        os.kill(nursery, signal.SIGSTOP)
        assert server.get("/wait/never", timeout=60)[0] == 504
        server.wait_for_log(f"({nursery}) has not answered for 8 s (hang_timeout_s), and was killed")
        eventually(lambda: alive_and_other(server, worker), "another worker")


def alive_and_other(server: Pierhead, before: int) -> bool:
    try:
        return answer(server)["pid"] != 0 and before not in server.workers()
    except (OSError, AssertionError):
        return False


def test_reloads_under_load_lose_nothing_and_leave_nobody_behind(tmp_path: Path) -> None:
    options = ["--isolation-idle-timeout-s", "0.2"]
    with Pierhead(tmp_path, *options, source=APP, workers=2) as server:
        before = server.note_processes(), descriptors(server)
        with Load(server, clients=1).running() as load:
            server.write(APP.replace('"version": "one"', '"version": "two"'))
            server.signal(signal.SIGHUP)
            eventually(lambda: answer(server)["version"] == "two", "the new code")
            load.more(20)
        assert load.failed == []
        eventually(lambda: not any(map(alive, before[0])), "the old ones leave")
        eventually(lambda: len(server.workers()) == 2, "two workers")
        eventually(lambda: len(isolated_processes(server)) == 2, "a process each")
        eventually(lambda: len(server.note_processes()) == len(before[0]), "as many processes as before")
        eventually(lambda: descriptors(server) == before[1], "as many descriptors of the master")


def descriptors(server: Pierhead) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_what_is_in_progress_finishes_when_the_server_stops(tmp_path: Path) -> None:
    with Pierhead(tmp_path, source=APP, workers=1) as server, ThreadPoolExecutor() as clients:
        running = clients.submit(server.get, "/wait/stop", timeout=60)
        begun(tmp_path, "stop")
        everybody = server.note_processes()
        server.signal(signal.SIGTERM)
        server.wait_for_log("stopping on SIGTERM")
        (tmp_path / "go-stop").touch()
        assert running.result()[0] == 200
        assert server.wait() == 0
        eventually(lambda: not any(map(alive, everybody)), "all leave")


def test_what_does_not_finish_in_the_grace_is_killed(tmp_path: Path) -> None:
    options = ["--drain-timeout-s", "0.2"]
    with Pierhead(tmp_path, *options, source=APP, workers=1) as server, ThreadPoolExecutor() as clients:
        running = clients.submit(server.get, "/wait/never", timeout=60)
        pid = begun(tmp_path, "never")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        eventually(lambda: not alive(pid), "the process is gone")
        with pytest.raises(OSError):
            running.result()


def test_who_waits_too_long_for_a_process_gets_503_and_all_of_it_is_counted(tmp_path: Path) -> None:
    socket = tmp_path / "control.sock"
    options = ["--isolation-max-processes", "1", "--isolation-queue-timeout-s", "3"]
    options += ["--control-socket", str(socket), "--metrics-listen", "http://127.0.0.2:0"]
    with Pierhead(tmp_path, *options, source=APP, workers=1) as server, ThreadPoolExecutor() as clients:
        (worker,) = server.workers()

        def counts() -> dict[str, int]:
            (generation,) = fetch(str(socket))["generations"]
            found: dict[str, int] = generation["workers"][0]["processes"]
            return found

        running = clients.submit(server.get, "/wait/first", timeout=60)
        begun(tmp_path, "first")
        status, body = server.get("/", timeout=60)
        assert (status, json.loads(body)["detail"]) == (503, "all processes are busy")
        (tmp_path / "go-first").touch()
        assert running.result()[0] == 200
        eventually(lambda: counts()["busy"] == 0, "the process is free")
        assert server.get("/exit/1")[0] == 502
        expected = {"all": 1, "busy": 0, "waiting": 0, "crashed": 1, "killed": 0}

        eventually(lambda: counts() == expected, "the counts")
        assert f"{worker} has 1 isolated processes: 1 crashed" in render(fetch(str(socket)))


def test_a_start_that_fails_in_a_process_is_a_failed_start(tmp_path: Path) -> None:
    source = """
import os
import re
from pierhead import App
app = App()

@app.on_start
def start() -> None:
    raise RuntimeError("no database")
"""
    with Pierhead(tmp_path, "--isolation", "process", source=source, workers=1, ready=False) as server:
        assert server.wait() == 3
        assert "RuntimeError: no database" in server.log


SINGLE = """
import os
import re
from pierhead import App, Server
app = App()

@app.get("/")
async def who(request):
    return {"pid": os.getpid(), "ppid": os.getppid()}

Server(app, listen="http://127.0.0.1:0", isolation="process", access_log="off").run()
"""


def test_a_server_within_a_program_has_processes_too(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SINGLE)
    command = (sys.executable, "-P", str(tmp_path / "program.py"))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = ""
            while "ready on" not in line:
                line = process.stderr.readline()
                assert line, "it ended"
            port = int(line.rpartition(":")[2].split()[0])
            from http.client import HTTPConnection

            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/")
            facts = json.loads(connection.getresponse().read())
            connection.close()
            assert facts["pid"] != process.pid
            assert parent_of(facts["ppid"]) == process.pid
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            eventually(lambda: not alive(facts["pid"]) and not alive(facts["ppid"]), "both leave")
        finally:
            process.kill()


def test_processes_that_end_leave_no_descriptors_open(hasty: Pierhead) -> None:
    """The event loop may open one of its own with the first connection: there was one."""
    answer(hasty)
    (worker,) = hasty.workers()
    eventually(lambda: len(isolated_processes(hasty)) == 1 and busy(hasty) == 0, "only one is idle")
    before = open_files(worker)
    for _ in range(5):
        assert hasty.get("/exit/1")[0] == 502
        assert hasty.get("/segfault")[0] == 502
    eventually(lambda: len(isolated_processes(hasty)) == 1 and busy(hasty) == 0, "only one is idle again")
    eventually(lambda: not open_files(worker) - before, f"nothing beyond {before}")


def open_files(pid: int) -> Counter[str]:
    """Count what a process has open, by names without numbers."""
    found: Counter[str] = Counter()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found[re.sub(r"\d+", "", str(fd.readlink()))] += 1
    return found
