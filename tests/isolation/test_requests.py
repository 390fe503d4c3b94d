"""Requests in processes of their own: what they get, and what becomes of who breaks, hangs or leaves."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.isolation.harness import APP, answer, begun, children, isolated_processes, kill_when_begun
from tests.supervisor.harness import Pierhead, alive, eventually

PATHS = {"/worker": True, "/": False, "/inner/plain": True, "/inner/special": False, "/inner/own/x": False}
"""Whether the worker answers them."""


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_a_request_is_answered_in_a_process_that_is_not_the_worker(server: Pierhead) -> None:
    (worker,) = server.workers()
    assert answer(server, "/worker")["pid"] == worker
    own = answer(server)
    assert own["pid"] != worker
    assert own["ppid"] not in {worker, server.process.pid}


def test_limits_are_those_of_the_listener(server: Pierhead) -> None:
    for body, status in ((b"0123456789", b"200"), (b"0123456789a", b"413")):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(str(server.folder / "narrow"))
            head = "POST /whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            client.sendall((head % len(body)).encode() + body)
            assert client.makefile("rb").readline().split()[1] == status


def test_only_what_leads_to_an_isolated_handler_leaves_the_worker(server: Pierhead) -> None:
    (worker,) = server.workers()
    in_worker = {path: answer(server, path)["pid"] == worker for path in PATHS}
    assert in_worker == PATHS


def test_requests_at_the_same_time_have_a_process_each(server: Pierhead, clients: ThreadPoolExecutor) -> None:
    waiting = [clients.submit(answer, server, f"/wait/both-{number}") for number in range(2)]
    pids = [begun(server.folder, f"both-{number}") for number in range(2)]
    for number in range(2):
        (server.folder / f"go-both-{number}").touch()
    assert [each.result()["pid"] for each in waiting] == pids
    assert pids[0] != pids[1]


@pytest.mark.parametrize("where", ["async", "thread"])
def test_a_child_that_a_handler_forks_answers_nobody_and_is_not_left_behind(
    server: Pierhead, where: str
) -> None:
    """It comes back from the handler as its parent does, and has all that belongs to that."""
    pid = answer(server, f"/fork/{where}")["pid"]
    for number in range(3):
        assert answer(server, "/inner/own/x")["pid"] not in server.workers()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", f"/facts?q={number}")
        assert json.loads(connection.getresponse().read())["query"] == [str(number)], "no child's answer"
        connection.close()
    eventually(lambda: not children(pid), "the child ends")


def test_all_that_is_known_of_a_request_goes_with_it_and_comes_back(server: Pierhead) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("GET", "/facts?q=1&q=2", skip_host=True)
    for name, value in [("Host", "pier.test"), ("X-Many", "a"), ("X-Many", "b"), ("X-Request-Id", "abc")]:
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    facts = json.loads(response.read())
    connection.close()
    assert facts == {
        "url": "http://pier.test/facts?q=1&q=2",
        "query": ["1", "2"],
        "x": ["a", "b"],
        "client": "127.0.0.1",
        "id": "abc",
    }
    assert response.headers["Set-Cookie"].startswith("seen=yes")
    assert response.headers["X-Request-Id"] == "abc"


def test_an_exception_handler_answers_in_the_process(server: Pierhead) -> None:
    (worker,) = server.workers()
    status, body = server.get("/divide")
    assert status == 422
    assert int(body.removeprefix(b"divided in ")) != worker


@pytest.mark.parametrize(
    ("target", "how"),
    [("/exit/0", "exited with code 0"), ("/exit/7", "exited with code 7"), ("/segfault", "SIGSEGV")],
)
def test_one_that_ends_by_itself_is_a_502_for_its_own_client(server: Pierhead, target: str, how: str) -> None:
    status, body = server.get(target)
    assert status == 502
    assert json.loads(body)["title"] == "Bad Gateway"
    server.wait_for_log(f"GET {target} [")
    (line,) = [line for line in server.log.splitlines() if f"GET {target} [" in line]
    assert how in line
    assert answer(server)["pid"]


def test_a_segfault_leaves_the_stacks_in_the_log(server: Pierhead) -> None:
    assert server.get("/segfault")[0] == 502
    server.wait_for_log("in segfault")


def test_one_that_is_killed_harms_nobody_else(server: Pierhead, clients: ThreadPoolExecutor) -> None:
    other = clients.submit(answer, server, "/wait/other")
    victim = clients.submit(server.get, "/wait/victim")
    survivor = begun(server.folder, "other")
    pid = kill_when_begun(server.folder, "victim")
    assert victim.result()[0] == 502
    server.wait_for_log(f"process {pid} of app was killed by SIGKILL")
    (server.folder / "go-other").touch()
    assert other.result()["pid"] == survivor


def test_one_that_takes_too_long_is_a_504_and_killed_with_its_stacks_in_the_log(hasty: Pierhead) -> None:
    assert hasty.get("/wait/late", timeout=60)[0] == 504
    pid = begun(hasty.folder, "late")
    eventually(lambda: not alive(pid), "the process is gone")
    hasty.wait_for_log("GET /wait/late [")
    hasty.wait_for_log("in wait\n")


def test_a_program_that_a_handler_waits_for_is_killed_with_it(hasty: Pierhead) -> None:
    assert hasty.get("/program/endless", timeout=60)[0] == 504
    pid = begun(hasty.folder, "endless")
    eventually(lambda: not alive(pid), "the program ends")


def test_a_process_that_cannot_read_for_lack_of_memory_is_replaced(hasty: Pierhead) -> None:
    pid = answer(hasty, "/cramped")["pid"]
    assert {hasty.get("/", timeout=60)[0] for _ in range(3)} <= {200, 502}, "not 504"
    eventually(lambda: not alive(pid), "it ends")


def test_a_stopped_process_is_a_504_as_well(hasty: Pierhead, clients: ThreadPoolExecutor) -> None:
    stopped = clients.submit(hasty.get, "/wait/stopped", timeout=60)
    pid = kill_when_begun(hasty.folder, "stopped", signal.SIGSTOP)
    (hasty.folder / "go-stopped").touch()
    assert stopped.result()[0] == 504
    eventually(lambda: not alive(pid), "the process is gone")


def test_a_request_may_take_longer_where_it_says_so(hasty: Pierhead) -> None:
    assert answer(hasty, "/extended")["version"] == "one"


def test_a_stream_comes_piece_by_piece(server: Pierhead) -> None:
    response = open_response(server, "/pieces/streamed")
    assert response.read(6) == b"first "
    (server.folder / "go-streamed").touch()
    assert response.read() == b"last"


def test_a_process_that_dies_within_its_response_cuts_the_connection(server: Pierhead) -> None:
    response = open_response(server, "/pieces/dies")
    assert response.read(6) == b"first "
    (server.folder / "go-dies").touch()
    with pytest.raises(http.client.IncompleteRead):
        response.read()


def test_a_client_that_does_not_read_makes_the_process_wait(server: Pierhead) -> None:
    response = open_response(server, "/much/slow")
    sent = server.folder / "sent-slow"
    seen = 0

    def stands_still() -> bool:
        nonlocal seen
        before, seen = seen, int(sent.read_text() or 0) if sent.exists() else 0
        return 0 < seen == before

    eventually(stands_still, "the process waits")
    assert seen < 300
    assert len(response.read()) == 400 * 65536


def test_large_bodies_and_files_keep_their_length_and_their_fields(server: Pierhead) -> None:
    response = open_response(server, "/whole")
    assert response.headers["Content-Length"] == "3000000"
    assert response.headers["Content-Disposition"] == "inline"
    assert len(response.read()) == 3_000_000
    response = open_response(server, "/file")
    assert response.headers["ETag"]
    assert response.read() == (server.folder / "app.py").read_bytes()


def test_a_range_of_a_file_is_answered(server: Pierhead) -> None:
    response = open_response(server, "/file", {"Range": "bytes=1-6"})
    assert (response.status, response.read()) == (206, b"import")


def test_a_large_upload_comes_as_a_file(server: Pierhead) -> None:
    body = os.urandom(1 << 20) * 3
    found = post(server, "/digest", body)
    assert found == {"digest": hashlib.sha256(body).hexdigest(), "in_file": True}


def test_a_small_body_comes_with_the_request(server: Pierhead) -> None:
    assert post(server, "/digest", b"abc") == {"digest": hashlib.sha256(b"abc").hexdigest(), "in_file": False}


def test_a_body_without_a_length_is_passed_on_as_it_comes_while_the_response_goes_out(
    server: Pierhead,
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        received = b""
        for word in (b"one", b"two", b"six"):
            client.sendall(b"3\r\n" + word + b"\r\n")
            while word not in received:
                received += client.recv(4096)
        client.sendall(b"0\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            received += client.recv(4096)


def test_a_body_that_turns_out_malformed_is_refused_by_who_reads_it(server: Pierhead) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(
            b"POST /digest HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
        client.sendall(b"no number\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_an_event_stream_ends_cleanly_when_the_server_stops(tmp_path: Path) -> None:
    with Pierhead(tmp_path, source=APP, workers=1) as server:
        response = open_response(server, "/pieces/never")
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.read(6) == b"first "
        server.signal(signal.SIGTERM)
        assert response.read() == b""
        assert server.wait() == 0


def test_a_client_that_leaves_has_its_handler_cancelled_and_the_process_replaced(server: Pierhead) -> None:
    pid = leave(server, "/asleep/left")
    eventually((server.folder / "cancelled-left").exists, "the handler is cancelled")
    eventually(lambda: not alive(pid), "the process is gone")
    assert answer(server)["pid"] != pid
    assert "GET /asleep/left" not in server.log  # who leaves is nobody's failure


def test_a_client_that_leaves_a_handler_that_blocks_has_the_process_killed(server: Pierhead) -> None:
    pid = leave(server, "/wait/blocked")
    eventually(lambda: not alive(pid), "the process is gone")


def test_one_spare_is_kept_ready(server: Pierhead, clients: ThreadPoolExecutor) -> None:
    waiting: list[Future[dict[str, object]]] = []
    for number in range(3):
        waiting.append(clients.submit(answer, server, f"/wait/spare-{number}"))
        begun(server.folder, f"spare-{number}")
        eventually(lambda: len(isolated_processes(server)) >= len(waiting) + 1, "a spare one")
    for number in range(3):
        (server.folder / f"go-spare-{number}").touch()
    assert len({each.result()["pid"] for each in waiting}) == 3


def test_those_that_are_idle_leave(hasty: Pierhead, clients: ThreadPoolExecutor) -> None:
    for each in [clients.submit(hasty.get, "/") for _ in range(8)]:
        each.result()
    eventually(lambda: len(isolated_processes(hasty)) == 1, "one process, the least number")
    assert "while it was idle" not in hasty.log


def test_memory_is_shared(server: Pierhead) -> None:
    """PSS counts a page that three processes have as a third of one."""
    pid = answer(server)["pid"]
    with open(f"/proc/{pid}/smaps_rollup") as file:  # noqa: PTH123
        sizes = {line.split()[0]: int(line.split()[1]) for line in file if line.endswith("kB\n")}
    assert sizes["Pss:"] < sizes["Rss:"] / 2


def open_response(
    server: Pierhead, target: str, headers: dict[str, str] | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", target, headers={"Connection": "close", **(headers or {})})
    return connection.getresponse()


def post(server: Pierhead, target: str, body: bytes) -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", target, body)
    response = connection.getresponse()
    found: dict[str, object] = json.loads(response.read())
    connection.close()
    return found


def leave(server: Pierhead, target: str) -> int:
    """Send a request, and go away once it is being handled; returns the pid of who handles it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        pid = begun(server.folder, target.rpartition("/")[2])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset: no doubt
    return pid
