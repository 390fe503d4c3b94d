"""Every server that can be installed here really starts, answers rightly whatever it is asked, and stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest import tools
from loadtest.peers import main as program
from loadtest.peers.catalogue import PEERS, Peer, PeerError
from loadtest.peers.clients import rate, sse, stream, websocket
from loadtest.peers.running import exchange, running

WITH_WHEELS = [peer for peer in PEERS if peer.name != "socketify"]  # it is not among the tests' packages
CLIENTS: dict[str, Callable[[int], dict[str, object]]] = {
    "latency": lambda port: rate.measure(port, rate=100, seconds=0.3, count=3),
    "download": lambda port: stream.download(port, 1_000_001),
    "upload": lambda port: stream.upload(port, 1_000_001),
    "sse": lambda port: sse.listen(port, seconds=0.1, listeners=5),
    "websocket": lambda port: websocket.echo(port, seconds=0.1, count=3),
}


@pytest.mark.parametrize("peer", WITH_WHEELS, ids=lambda peer: peer.name)
def test_a_server_answers_every_client_and_leaves_nothing_behind(peer: Peer) -> None:
    assert peer.missing() is None
    with running(peer) as server:
        assert server.cpu().total_s >= 0
        assert server.pids()
        for scenario in set(peer.scenarios) & CLIENTS.keys():
            result = CLIENTS[scenario](server.port)
            assert result["errors"] == {}, (scenario, result)
        process = server.process
    assert process.gone()


def test_a_server_that_does_not_start_says_why() -> None:
    broken = Peer("broken", "x", "x", "x", lambda port, workers, folder: ["python3", "-c", "exit('no disk')"])
    with pytest.raises(PeerError, match=r"broken ended; it said:\nno disk"), running(broken):
        pytest.fail("it does not run")


def test_a_server_that_answers_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("Hello, you!!!")
    other = Peer("other", "x", "x", "x", lambda port, workers, folder: [
        "python3", "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)
    ])  # fmt: skip
    with (
        pytest.raises(PeerError, match=r"other does not answer 200 b'Hello, World!' but .*you!!!"),
        running(other),
    ):
        pytest.fail("it is wrong")


@pytest.mark.wrk
@pytest.mark.skipif(tools.missing("wrk") is not None, reason=str(tools.missing("wrk")))
def test_a_real_run_of_the_smallest_size(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    argv = ["--quick", "--peers", "nginx", "--scenario", "realistic,pipelined,idle", "--json", str(file)]
    code = program.main(argv)
    document = json.loads(file.read_text())
    assert code == 0, document["measurements"]
    for one in document["measurements"]:
        assert one["valid"], one
        assert one["value"] > 0
    assert document["summary"]["realistic"]["pierhead"]["cpu_us"]["median"] > 0


def test_exchange_reads_one_answer() -> None:
    peer = PEERS[0]
    with running(peer) as server:
        answer = exchange(server, b"GET /?x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        with pytest.raises(PeerError, match="404"):
            exchange(server, b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
