"""What runs out: file descriptors, memory, processes, a worker's allotted life."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest

from tests.faults.test_balance import ask, connect
from tests.supervisor.harness import APP, Load, Pierhead, eventually

DESCRIPTORS = 128
WITH_FEW_DESCRIPTORS = (
    "import os, resource, sys;"
    f" resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}));"
    " os.execv(sys.executable, [sys.executable, '-P', '-m', 'pierhead', *sys.argv[1:]])"
)
GREEDY = (
    APP
    + """
import resource
hoard = []

@app.get("/grow")
async def grow(request: Request) -> Response:
    hoard.append(bytearray(os.urandom(1) * (64 << 20)))
    return Response.text("grown")

@app.get("/too-much")
async def too_much(request: Request) -> Response:
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), resource.RLIM_INFINITY))
    try:
        bytearray(1 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
)


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_without_descriptors_connections_wait_and_nothing_spins(tmp_path: Path) -> None:
    program = (sys.executable, "-c", WITH_FEW_DESCRIPTORS)
    with Pierhead(tmp_path, workers=1, program=program) as server, contextlib.ExitStack() as stack:
        (worker,) = server.workers()
        held = [stack.enter_context(connect(server)) for _ in range(DESCRIPTORS)]
        server.wait_for_log("connections take all file descriptors but a reserve; new ones wait in the queue")
        before = cpu_s(worker)
        answered = [ask(client) for client in held[:20]]
        assert set(answered) == {worker}, "who is in is served"
        assert len(list(Path(f"/proc/{worker}/fd").iterdir())) <= DESCRIPTORS - 16, "a reserve is kept"
        late = stack.enter_context(connect(server))
        late.settimeout(1.0)
        with pytest.raises(TimeoutError):
            ask(late)
        assert cpu_s(worker) - before < 0.5, "a second of waiting costs next to nothing"
        for client in held:
            client.close()
        late.settimeout(60)
        assert late.recv(65536).startswith(b"HTTP/1.1 200"), "it is its turn"
        server.wait_for_log("accepting again")


def test_workers_that_reached_their_requests_are_relieved_without_a_lost_one(tmp_path: Path) -> None:
    with Pierhead(tmp_path, "--max-requests", "100") as server:
        first = server.workers()
        with Load(server).running() as load:
            server.wait_for_log("requests (max_requests); replacing it", 3)
            eventually(lambda: not first & server.workers(), "the first workers leave")
        assert load.failed == []


def test_a_worker_that_uses_too_much_memory_is_relieved(tmp_path: Path) -> None:
    with Pierhead(tmp_path, "--max-worker-memory-bytes", "200MiB", source=GREEDY, workers=1) as server:
        first = server.workers()
        with Load(server).running() as load:
            for _ in range(3):
                assert server.get("/grow")[0] == 200
            server.wait_for_log("of memory (max_worker_memory_bytes); replacing it")
            eventually(lambda: not first & server.workers(), "the first worker leaves")
        assert load.failed == []


def test_a_handler_that_gets_no_memory_costs_its_own_request_only(tmp_path: Path) -> None:
    with Pierhead(tmp_path, source=GREEDY) as server:
        workers = server.workers()
        assert server.get("/too-much")[0] == 500
        server.wait_for_log("MemoryError")
        assert server.workers() == workers
        assert server.get()[0] == 200
