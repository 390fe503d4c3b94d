"""A server started as root whose application runs as somebody else: files, sockets, groups, processes."""

from __future__ import annotations

import json
import os
import pwd
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h11
import pytest
import wsproto

import pierhead
from pierhead.supervisor.control import ask
from tests.faults.test_limits import response
from tests.supervisor.harness import APP, Load, Pierhead, alive, eventually

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can become somebody else, in this way"
)

USER = "nobody"
FACTS = (
    APP
    + """
import pathlib

@app.get("/facts")
async def facts(request: Request) -> Response:
    pathlib.Path("made").write_text("by the application")
    status = dict(line.split(":\\t") for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    try:
        pathlib.Path("roots-own").read_text()
        reads = True
    except PermissionError:
        reads = False
    return Response.json({
        "uid": status["Uid"].split(), "gid": status["Gid"].split(), "groups": status["Groups"].split(),
        "capabilities": int(status["CapEff"], 16), "reads": reads, "home": os.environ["HOME"],
    })
"""
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user may read and write, with the server in it: root's own it may not even see."""
    with tempfile.TemporaryDirectory(prefix="pierhead-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        for module in (pierhead, h11, wsproto):
            source = Path(module.__file__ or "").parent
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / "lib" / source.name, ignore=ignored)
        yield folder


def python() -> str:
    """Return a Python whose library the user can read."""
    for program in (sys.executable, "/usr/bin/python3"):
        find = [program, "-c", "import os; print(os.__file__)"]
        library = subprocess.run(find, capture_output=True, text=True, check=True).stdout.strip()
        account = pwd.getpwnam(USER)
        reads = subprocess.run(
            ["cat", library], user=account.pw_uid, group=account.pw_gid, extra_groups=[], capture_output=True,
            check=False,
        )  # fmt: skip
        if reads.returncode == 0:
            return program
    pytest.skip(f"{USER} can read no Python here")


def served(folder: Path, *options: str, code: str = "", workers: int = 2) -> Pierhead:
    """Start the server in `folder` as root, after some code of the test's."""
    start = (
        f"import os, runpy, sys\nsys.path.insert(0, {str(folder / 'lib')!r})\n"
        f"os.environ['PYTHONPATH'] = {str(folder / 'lib')!r}\n{code}\n"
        "runpy.run_module('pierhead', run_name='__main__', alter_sys=True)"
    )
    program = (python(), "-c", start)
    everywhere = ("--user", USER, "--loop", "asyncio")
    return Pierhead(folder, *everywhere, *options, source=FACTS, program=program, workers=workers)


def over_unix(path: Path, target: str = "/") -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return response(client)


def test_the_application_is_the_user_and_nothing_of_root_is_left(folder: Path) -> None:
    account = pwd.getpwnam(USER)
    own = folder / "roots-own"
    own.write_text("secret")
    own.chmod(0o600)
    path, pid_file, log = folder / "app.sock", folder / "pid", folder / "access.log"
    options = ("--listen", f"http://unix:{path}", "--pid-file", str(pid_file), "--access-log", str(log))
    control = ("--control-socket", str(folder / "control"))
    with served(folder, *options, *control, code="os.setgroups([0, 4, 5])") as server:
        status, body = server.get("/facts")
        assert status == 200
        assert json.loads(body) == {
            "uid": [str(account.pw_uid)] * 4,
            "gid": [str(account.pw_gid)] * 4,
            "groups": [str(gid) for gid in os.getgrouplist(USER, account.pw_gid)],
            "capabilities": 0,
            "reads": False,
            "home": account.pw_dir,
        }
        assert (folder / "made").stat().st_uid == account.pw_uid
        eventually(lambda: log.exists() and "/facts" in log.read_text(), "the access log is written")
        assert log.stat().st_uid == account.pw_uid
        facts = path.stat()
        assert (facts.st_uid, facts.st_gid) == (account.pw_uid, account.pw_gid), "its mode is for the user"
        assert stat.S_IMODE(facts.st_mode) == 0o660
        assert over_unix(path).startswith(b"HTTP/1.1 200 ")
        assert pid_file.read_text() == f"{server.process.pid}\n"
        assert pid_file.stat().st_uid == 0, "the master stays root, and its own files root's"
        workers = server.workers()
        server.signal(signal.SIGHUP)
        server.wait_for_log("generation 2 serves")
        eventually(lambda: not any(map(alive, workers)), "the old workers leave")
        assert json.loads(server.get("/facts")[1])["uid"] == [str(account.pw_uid)] * 4
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert not path.exists()
    assert not pid_file.exists()


def test_a_user_who_may_not_read_the_server_is_told_what_that_is(folder: Path) -> None:
    """Not that some module does not exist."""
    (folder / "app.py").write_text(APP)
    (folder / "lib" / "pierhead").chmod(0o700)
    command = [python(), "-P", "-m", "pierhead", "run", "app:app", "--user", USER, "--loop", "asyncio"]
    told = subprocess.run(
        [*command, "--listen", "http://127.0.0.1:0"],
        env=os.environ | {"PYTHONPATH": str(folder / "lib")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 3
    assert f"user = 'nobody': it may not read {folder}/lib/pierhead/" in told.stderr
    assert "Traceback" not in told.stderr


def test_who_cannot_become_somebody_else_is_told_at_once(folder: Path) -> None:
    become = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    program = (
        python(),
        "-c",
        f"import os, sys; {become}; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
    )
    command = [
        *program,
        "-P",
        "-m",
        "pierhead",
        "run",
        "app:app",
        "--user",
        "root",
        "--listen",
        "http://127.0.0.1:0",
    ]
    environment = os.environ | {"PYTHONPATH": str(folder / "lib")}
    told = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 2
    assert "user = 'root', group = '': only root can become somebody else" in told.stderr


def allow(pid: int, processes: int | None = None) -> None:
    """Limit how many processes the user may have when its process `pid` starts another one (setrlimit(2)).

    None: as many as it may at most; others of this machine may have many.
    """
    account = pwd.getpwnam(USER)  # without CAP_SYS_RESOURCE only a user's own processes may do it
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    limit = "unlimited" if most == resource.RLIM_INFINITY else str(most)
    command = ["prlimit", f"--nproc={limit if processes is None else processes}:", "--pid", str(pid)]
    subprocess.run(
        command, user=account.pw_uid, group=account.pw_gid, extra_groups=[], check=True, timeout=60
    )


def test_where_no_worker_can_be_forked_it_is_tried_again_and_the_others_serve(folder: Path) -> None:
    """The limit is the kernel's own, and holds for all processes but root's."""
    with served(folder, workers=3) as server:
        workers = server.workers()
        (generation,) = server.note_processes() - workers
        first, second, third = workers
        allow(generation, 1)
        with Load(server).running() as load:
            os.kill(first, signal.SIGKILL)
            os.kill(second, signal.SIGKILL)
            server.wait_for_log(
                "cannot fork a worker: [Errno 11] Resource temporarily unavailable; next try in 2 s"
            )
            load.more()
            assert server.workers() == {third}
            allow(generation)
            eventually(lambda: len(server.workers()) == 3, "replacements, once there are processes")
            load.more()
        assert len(load.failed) <= 8, load.failed  # those that the two had accepted: one of each client


def test_where_no_generation_can_be_started_the_old_one_goes_on(folder: Path) -> None:
    become = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    control = folder / "control"
    with served(folder, "--control-socket", str(control), code=become) as server:
        with Load(server).running() as load:
            allow(server.process.pid, 1)
            told = ask(control, 60.0, command="reload")["failed"]
            assert told.startswith("cannot start a process: [Errno 11] Resource temporarily unavailable")
            server.wait_for_log("reload failed; the code from before goes on serving")
            load.more()
            allow(server.process.pid)
            assert ask(control, 60.0, command="reload") == {"reloaded": 3}
            load.more()
        assert load.failed == []
