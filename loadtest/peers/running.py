"""One server while it runs: started in a folder of its own, on chosen cores, proven right, and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest import machine
from loadtest.machine import Cpu
from loadtest.peers.catalogue import Peer, PeerError
from stack import ports
from stack.process import Process, start

__all__ = ["GREETING", "HOST", "Running", "exchange", "running", "stop"]

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
GREETING = b"Hello, World!"
START_S = 60.0
STOP_S = 2.0  # it is not needed any more, and some wait for streams that nobody listens to
POLL_S = 0.02
LOG_LINES = 5


@dataclass
class Running:
    """A server that answers."""

    peer: Peer
    port: int
    process: Process
    log: Path

    def pids(self) -> list[int]:
        """Return its processes."""
        return self.process.members()

    def cpu(self) -> Cpu:
        """Return the processor time that it has used."""
        return machine.cpu_of(self.pids())

    def said(self) -> str:
        """Return the end of what it has written."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "\n".join(lines[-LOG_LINES:])


@contextlib.contextmanager
def running(peer: Peer, cores: Sequence[int] = (), workers: int = 1) -> Iterator[Running]:
    """Run a server for the time of the block. Raises PeerError if it does not come up and answer rightly."""
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        port = ports.any_free()
        words = peer.command(port, workers, folder)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        log = folder / "server.log"
        with machine.pinned(cores):
            process = start(words, env=environment, log=log, cwd=folder)
        server = Running(peer, port, process, log)
        try:
            wait_until_right(server)
            yield server
        finally:
            stop(process)


def wait_until_right(server: Running) -> None:
    """Return once the server gives the right answer. Raises PeerError."""
    deadline = time.monotonic() + START_S
    request = f"GET / HTTP/1.1\r\nHost: {HOST}:{server.port}\r\n\r\n".encode()
    while True:
        with contextlib.suppress(OSError):
            exchange(server, request)
            return
        if not server.process.alive() or time.monotonic() > deadline:
            state = "ended" if not server.process.alive() else f"did not answer within {START_S:g} s"
            raise PeerError(f"{server.peer.name} {state}; it said:\n{server.said() or '(nothing)'}")
        time.sleep(POLL_S)


def exchange(server: Running, request: bytes) -> bytes:
    """Send a GET of the greeting and return the answer's bytes, if it is right.

    Raises PeerError for another status or body, and OSError if there is no answer.
    """
    with socket.create_connection((HOST, server.port), timeout=5) as connection:
        connection.sendall(request)
        data = b""
        while not data.endswith(GREETING):
            piece = connection.recv(65536)
            if not piece:
                break
            data += piece
            head, separator, body = data.partition(b"\r\n\r\n")
            if separator and len(body) >= len(GREETING):
                break
    if not data:
        raise ConnectionResetError("no answer")
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or body != GREETING:
        raise PeerError(f"{server.peer.name} does not answer 200 {GREETING!r} but {data[:500]!r}")
    return data


def stop(process: Process) -> None:
    """Ask a server to end; end it if it does not."""
    process.signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while process.alive() and time.monotonic() < deadline:
        time.sleep(POLL_S)
    process.kill()
    while not process.gone() and time.monotonic() < deadline + STOP_S:
        time.sleep(POLL_S)
