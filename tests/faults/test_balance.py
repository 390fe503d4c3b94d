"""Connections go evenly to all workers, and to none that cannot take them."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import socket
from functools import partial
from pathlib import Path

import pytest

from tests.supervisor.harness import Pierhead, eventually

CONNECTIONS = 200


def ask(client: socket.socket) -> int:
    """Send a request; returns the pid of the worker that answered."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    data = b""
    while not data.endswith(b"}"):
        piece = client.recv(65536)
        assert piece, data
        data += piece
    pid: int = json.loads(data.partition(b"\r\n\r\n")[2])["pid"]
    return pid


def connect(server: Pierhead) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 60)


def connect_to_another(server: Pierhead, worker: int) -> socket.socket:
    """Connect to another worker than this one, which is stopped for it and must not be taken for a hang."""
    os.kill(worker, signal.SIGSTOP)
    try:
        client = connect(server)
        assert ask(client) != worker
    finally:
        os.kill(worker, signal.SIGCONT)
    return client


def all_have_answered(server: Pierhead, workers: int, seen: set[int]) -> bool:
    with connect(server) as client:
        seen.add(ask(client))
    return len(seen) == workers


def come_and_go(server: Pierhead) -> collections.Counter[int]:
    """Return how many connections, one after the other, each worker got."""
    counts: collections.Counter[int] = collections.Counter()
    for _ in range(CONNECTIONS):
        with connect(server) as client:
            counts[ask(client)] += 1
    return counts


def held(server: Pierhead) -> collections.Counter[int]:
    """Return how many connections at the same time each worker got."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(CONNECTIONS)]
        return collections.Counter(ask(client) for client in clients)


def is_even(counts: collections.Counter[int], workers: int) -> bool:
    print(counts)
    return len(counts) == workers and max(counts.values()) <= 1.5 * min(counts.values())


@pytest.mark.parametrize("workers", [2, 4])
def test_connections_that_stay_and_those_that_do_not_are_spread_evenly(tmp_path: Path, workers: int) -> None:
    with Pierhead(tmp_path, workers=workers) as server:
        eventually(partial(all_have_answered, server, workers, set()), "each worker answers")
        # On a busy machine a worker that does not run for a while is behind for as long; not again and again.
        for spread in (come_and_go, held):
            eventually(lambda: is_even(spread(server), workers), spread.__name__)  # noqa: B023 - it is called now


def test_no_new_connection_waits_for_a_worker_that_is_stopped(tmp_path: Path) -> None:
    with Pierhead(tmp_path, "--hang-timeout-s", "0") as server:
        victim, other = server.workers()
        os.kill(victim, signal.SIGSTOP)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(server)) for _ in range(CONNECTIONS)]
            assert {ask(client) for client in clients} == {other}
        os.kill(victim, signal.SIGCONT)
