"""The faults: each is done to one running server, and returns a few figures."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadtest.survival.client import HOST, Load, close_code, hold, open_websocket, read_answer, request
from stack.process import Process

__all__ = ["FAULTS", "Fault", "Figures", "Server"]

CONNECTIONS = 200
CLIENTS = 10
WORKERS = 2

Figures = dict[str, float | None]
"""Name → figure; None: never, within the time that was given."""


@dataclass
class Server:
    """A server that answers, with WORKERS workers."""

    port: int
    process: Process
    version: Path
    patience_s: float
    """How long a recovery is waited for."""

    def workers(self) -> set[int]:
        """Return the processes that answer."""
        pids: set[int] = set()
        for _ in range(60):
            pids.add(request(self.port).pid)
            if len(pids - {0}) >= WORKERS:
                break
        return pids - {0}


def balance(server: Server) -> Figures:
    """Hold connections open, and see how many the busiest worker has for one of the idlest."""
    counts: collections.Counter[int] = collections.Counter()
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            client = stack.enter_context(hold(server.port))
            counts[read_answer(client)[0]] += 1
    if len(counts) < WORKERS:
        return {"max/min": None}
    return {"max/min": max(counts.values()) / min(counts.values())}


def killed(server: Server) -> Figures:
    """Kill a worker."""
    before = server.workers()
    victim = min(before)
    with Load(server.port).running() as load:
        since = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        recovered = load.wait_for(lambda a: bool(a.pid) and a.pid not in before, since, server.patience_s)
        time.sleep(0.5)
    return {"failed": load.failed(since - 0.1), "recovered s": recovered}


def stopped(server: Server) -> Figures:
    """Stop a worker (SIGSTOP) for some seconds, and count the new connections that are not answered."""
    victim = min(server.workers())
    with Load(server.port).running() as load:
        since = time.monotonic()
        os.kill(victim, signal.SIGSTOP)
        time.sleep(server.patience_s / 3)
        ended = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGCONT)
    answers = [answer for answer in load.answers if since <= answer.began < ended]
    late = sum(not answer.pid or answer.seconds > 1.0 for answer in answers)
    return {"failed %": 100.0 * late / max(1, len(answers))}


def blocked(server: Server) -> Figures:
    """Block the event loop of a worker, and see whether it is found and replaced."""
    before = server.workers()
    with Load(server.port).running() as load, hold(server.port, "/block"):
        since = time.monotonic()
        recovered = load.wait_for(lambda a: bool(a.pid) and a.pid not in before, since, server.patience_s)
    return {"failed": load.failed(since), "recovered s": recovered}


def reloaded(server: Server) -> Figures:
    """Reload code that takes a second to import (SIGHUP), with an event stream open."""
    server.version.write_text("2", encoding="utf-8")
    with Load(server.port).running() as load, hold(server.port, "/events"):
        since = time.monotonic()
        usual_s = load.longest_s(0.0, since)
        server.process.signal(signal.SIGHUP)
        recovered = load.wait_for(lambda a: a.version == "2", since, server.patience_s)
        # Both versions may answer for a while: it is done when the old one has been silent for a second.
        while time.monotonic() < min(since + server.patience_s, last_of_old(load, since) + 1.0):
            time.sleep(0.02)
        last = last_of_old(load, since)
    over = last + 0.9 < time.monotonic()
    added_s = max(0.0, load.longest_s(since) - usual_s)
    return {
        "failed": load.failed(since),
        "added ms": added_s * 1000,
        "recovered s": max(recovered, last - since) if over and recovered is not None else None,
    }


def last_of_old(load: Load, since: float) -> float:
    """Return when the old version answered last."""
    return max((a.began + a.seconds for a in load.answers[:] if a.version == "1"), default=since)


def asked_to_stop(server: Server) -> Figures:
    """Ask the server to stop (SIGTERM), with an event stream open."""
    with hold(server.port, "/events") as stream:
        stream.recv(65536)
        since = time.monotonic()
        server.process.signal(signal.SIGTERM)
        stream.settimeout(0.02)
        while server.process.alive() and time.monotonic() < since + server.patience_s:
            with contextlib.suppress(OSError):
                if not stream.recv(65536):  # it was told that this was all
                    stream.close()
            time.sleep(0.01)
        return {"ended s": None if server.process.alive() else time.monotonic() - since}


def asked_to_stop_at_work(server: Server) -> Figures:
    """Ask the server to stop (SIGTERM) with requests in progress, idle kept connections, and WebSockets open.

    A request on a kept connection that comes just then was on its way when the server began to stop.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(open_websocket(server.port)) for _ in range(2)]
        kept = [stack.enter_context(hold(server.port)) for _ in range(CLIENTS)]
        for client in kept:
            read_answer(client)
        busy = [stack.enter_context(hold(server.port, "/slow")) for _ in range(CLIENTS)]
        time.sleep(0.3)  # they are in progress
        since = time.monotonic()
        server.process.signal(signal.SIGTERM)
        time.sleep(0.05)
        for client in kept:
            with contextlib.suppress(OSError):
                client.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        cut = sum(map(is_cut, busy))
        late = sum(map(is_cut, kept))
        codes = {
            close_code(client, max(0.1, since + server.patience_s - time.monotonic())) for client in sockets
        }
        stack.close()
        while server.process.alive() and time.monotonic() < since + server.patience_s:
            time.sleep(0.01)
        return {
            "cut": cut,
            "late ones cut": late,
            "WebSocket's code": codes.pop() if len(codes) == 1 else None,
            "ended s": None if server.process.alive() else time.monotonic() - since,
        }


def is_cut(client: socket.socket) -> bool:
    """Tell whether a request gets no whole answer."""
    try:
        read_answer(client)
    except OSError:
        return True
    return False


def half_sent(server: Server) -> Figures:
    """Send half of a request's head, and wait for the server to give it up."""
    with socket.create_connection((HOST, server.port), server.patience_s) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        since = time.monotonic()
        try:
            client.recv(65536)
        except TimeoutError:
            return {"given up s": None}
        return {"given up s": time.monotonic() - since}


@dataclass(frozen=True)
class Fault:
    """One of them, with how it is called in a table."""

    name: str
    what: str
    run: Callable[[Server], Figures]


FAULTS = (
    Fault("balance", f"{CONNECTIONS} held connections, most to least on a worker", balance),
    Fault("kill", "a worker is killed under load", killed),
    Fault("stop", "a worker is stopped (SIGSTOP)", stopped),
    Fault("block", "a worker's event loop is blocked", blocked),
    Fault("reload", "reload of a 1 s import, an event stream open", reloaded),
    Fault("head", "half of a request's head", half_sent),
    Fault("term", "SIGTERM, an event stream open", asked_to_stop),
    Fault("work", f"SIGTERM, {CLIENTS} requests in progress, WebSockets open", asked_to_stop_at_work),
)
