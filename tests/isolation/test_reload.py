"""One application of several is reloaded by itself: new code for it, and nothing else has changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.certificates import make_certificate
from tests.isolation.harness import APP, answer, begun
from tests.isolation.test_websockets import open_socket
from tests.supervisor.harness import Load, Pierhead, alive, eventually, parent_of

APPS = """
[apps.shop]
app = "app:app"
path = "/shop"
isolation = "process"

[apps.other]
app = "other:app"
path = "/other"
isolation = "process"

[apps.plain]
app = "other:app"
path = "/plain"
"""

EVENTS = """
@app.get("/events")
async def events(request):
    async def pieces():
        while True:
            yield b"data: tick\\n\\n"
            await asyncio.sleep(0.05)
    return Response.stream(pieces(), content_type="text/event-stream")
"""

OTHER = """
import os
from pierhead import App

app = App()
count = 0

@app.get("/")
async def who(request):
    global count
    count += 1
    return {"pid": os.getpid(), "count": count}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pierhead]:
    folder = tmp_path_factory.mktemp("reload")
    (folder / "apps.toml").write_text(APPS)
    (folder / "other.py").write_text(OTHER)
    certificate, key = make_certificate(folder, "test", "IP:127.0.0.1")
    options = ["--control-socket", str(folder / "control"), "--drain-timeout-s", "60"]
    options += ["--isolation-idle-timeout-s", "600"]  # who leaves does so because of a reload
    options += [
        "--tls-certificate",
        str(certificate),
        "--tls-key",
        str(key),
        "--listen",
        "https://127.0.0.1:0",
    ]
    with Pierhead(folder, *options, source=APP, application="apps.toml", workers=2) as running:
        yield running


def reload(server: Pierhead, name: str = "shop") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pierhead", "reload", name]
    return subprocess.run(
        [*command, "--control-socket", str(server.folder / "control")],
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=100,
    )


def write(server: Pierhead, version: str) -> None:
    server.write(APP.replace('"version": "one"', f'"version": "{version}"') + EVENTS)


def test_its_new_code_serves_and_the_others_go_on_as_they_were(server: Pierhead) -> None:
    workers = server.workers()
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/plain/")
    before = connection.getresponse().read()
    others = {answer(server, "/other/")["pid"] for _ in range(8)}
    write(server, "two")
    done = reload(server)
    assert (done.returncode, done.stdout) == (0, "the new code of shop serves in 2 workers\n"), done.stderr
    assert {answer(server, "/shop/")["version"] for _ in range(8)} == {"two"}
    assert server.workers() == workers
    assert all(map(alive, others))
    connection.request("GET", "/plain/")  # on the connection from before, and its state is there
    after = connection.getresponse().read()
    connection.close()
    assert after == before.replace(b'"count":1', b'"count":2')


def test_code_that_does_not_load_changes_nothing_and_the_command_says_why(server: Pierhead) -> None:
    write(server, "three")
    assert reload(server).returncode == 0
    server.write("raise RuntimeError('broken')\n")
    failed = reload(server)
    assert failed.returncode == 1
    assert "RuntimeError: broken" in failed.stderr
    server.wait_for_log("RuntimeError: broken")
    server.write(APP + "\n@app.on_start\ndef start() -> None:\n    raise RuntimeError('no database')\n")
    failed = reload(server)
    assert failed.returncode == 1
    assert "RuntimeError: no database" in failed.stderr
    assert {answer(server, "/shop/")["version"] for _ in range(8)} == {"three"}


def test_what_is_under_way_is_answered_by_the_code_from_before(server: Pierhead) -> None:
    write(server, "four")
    assert reload(server).returncode == 0
    with (
        ThreadPoolExecutor() as clients,
        Load(server, "/shop/", clients=2).running() as load,
        open_socket(server, "/shop/socket") as passed,
        open_socket(server, "/shop/socket", tls=True) as relayed,
    ):
        upload = HTTPConnection("127.0.0.1", server.port, timeout=60)
        upload.putrequest("POST", "/shop/echo")
        upload.putheader("Content-Length", "4")
        upload.endheaders(b"sl")
        stream = HTTPConnection("127.0.0.1", server.port, timeout=60)
        stream.request("GET", "/shop/events")
        ticks = stream.getresponse()
        assert ticks.readline() == b"data: tick\n"
        running = clients.submit(answer, server, "/shop/wait/under-way")
        pid = begun(server.folder, "under-way")
        write(server, "five")
        assert reload(server).returncode == 0
        for socket in (passed, relayed):
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=60)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        assert ticks.read().endswith(b"data: tick\n\n")  # it ended as it should, and its client comes again
        stream.close()
        upload.send(b"ow")
        assert upload.getresponse().read() == b"slow"
        upload.close()
        assert answer(server, "/shop/")["version"] == "five"
        assert alive(pid)
        (server.folder / "go-under-way").touch()
        assert running.result()["version"] == "four"
        load.more(20)
    assert load.failed == []
    eventually(lambda: not alive(pid), "the process from before leaves")


def test_a_worker_that_is_replaced_has_that_code_also_where_it_does_not_load_any_more(
    server: Pierhead,
) -> None:
    write(server, "seven")
    assert reload(server).returncode == 0
    server.write("raise RuntimeError('half written')\n")
    for _ in range(2):
        replace_workers(server)
        assert {answer(server, "/shop/")["version"] for _ in range(16)} == {"seven"}
    failed = reload(server)
    assert "RuntimeError: half written" in failed.stderr
    assert {answer(server, "/shop/")["version"] for _ in range(16)} == {"seven"}


def test_where_who_keeps_that_code_is_gone_a_worker_has_that_of_the_generation(server: Pierhead) -> None:
    write(server, "eight")
    assert reload(server).returncode == 0
    server.write("raise RuntimeError('half written')\n")
    os.kill(seed(server), signal.SIGKILL)
    replace_workers(server)
    server.wait_for_log("shop was reloaded, but does not load again for this worker, and who had its code is")
    assert {answer(server, "/shop/")["version"] for _ in range(16)} == {"one"}
    write(server, "nine")
    assert reload(server).returncode == 0
    assert {answer(server, "/shop/")["version"] for _ in range(16)} == {"nine"}


def replace_workers(server: Pierhead) -> None:
    before = server.workers()
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    eventually(lambda: len(server.workers()) == 2 and not before & server.workers(), "other workers")


def seed(server: Pierhead) -> int:
    """Return the pid of who keeps the code that was reloaded last: it forks nurseries, and is no worker."""
    found: set[int] = set()

    def look() -> set[int]:
        nurseries = {answer(server, "/shop/")["ppid"] for _ in range(8)}
        found.update({parent_of(nursery) for nursery in nurseries} - server.workers())
        return found

    eventually(look, "a nursery that was forked by a seed")
    (pid,) = found
    return pid


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    """Neither by reloads nor by who is killed."""
    (tmp_path / "apps.toml").write_text(APPS.partition("[apps.other]")[0])
    options = ["--control-socket", str(tmp_path / "control")]
    with Pierhead(tmp_path, *options, source=APP, application="apps.toml", workers=2) as server:
        assert reload(server).returncode == 0
        keeper = seed(server)
        assert reload(server).returncode == 0
        eventually(lambda: not alive(keeper), "the seed from before leaves")
        keeper, everybody = seed(server), server.note_processes()
        pids = {answer(server, "/shop/")[which] for _ in range(8) for which in ("pid", "ppid")}
        os.kill(server.process.pid, signal.SIGKILL)
        eventually(lambda: not any(map(alive, [*everybody, *pids, keeper])), "all have left")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nobody", "there is no application 'nobody' that can be reloaded by itself; these can: shop, other"),
        ("plain", "or is not isolated as a whole (isolation = 'process'); these can: shop, other"),
    ],
)
def test_what_cannot_be_reloaded_by_itself_is_refused_with_those_that_can(
    server: Pierhead, name: str, why: str
) -> None:
    failed = reload(server, name)
    assert failed.returncode == 1
    assert why in failed.stderr


def test_with_a_single_application_there_is_no_name(tmp_path: Path) -> None:
    options = ["--isolation", "process", "--control-socket", str(tmp_path / "control")]
    with Pierhead(tmp_path, *options, source=OTHER, workers=1) as server:
        failed = reload(server, "app")
        assert failed.returncode == 1
        assert "one application is served here, not a file of several: leave the name out" in failed.stderr


def test_what_does_not_finish_in_the_grace_is_answered_504(tmp_path: Path) -> None:
    (tmp_path / "apps.toml").write_text(APPS.partition("[apps.other]")[0])
    options = ["--control-socket", str(tmp_path / "control"), "--drain-timeout-s", "0.2"]
    with (
        Pierhead(tmp_path, *options, source=APP, application="apps.toml", workers=1) as server,
        ThreadPoolExecutor() as clients,
    ):
        running = clients.submit(server.get, "/shop/asleep/long", timeout=60)
        pid = begun(tmp_path, "long")
        assert reload(server).returncode == 0
        assert running.result()[0] == 504
        eventually(lambda: not alive(pid), "the process from before leaves")
        server.wait_for_log("did not finish within drain_timeout_s=0.2 of a reload of app;")
        assert answer(server, "/shop/")["version"] == "one"
