"""Clients: a load of requests, each on a new connection, and single ones that are held open."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Answer", "Load", "hold", "read_answer", "request"]

HOST = "127.0.0.1"
PATIENCE_S = 2.0
_ANSWER = re.compile(rb"HTTP/1\.1 200 .*\r\n\r\n(?:[0-9a-f]+\r\n)?([0-9]+) ([0-9])\n", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What came of one request: process and version are 0 and "" where it failed."""

    began: float
    seconds: float
    pid: int = 0
    version: str = ""


def hold(port: int, target: str = "/") -> socket.socket:
    """Send a request on a new connection, and return that."""
    client = socket.create_connection((HOST, port), PATIENCE_S)
    client.sendall(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    return client


def read_answer(client: socket.socket) -> tuple[int, str]:
    """Return process and version of a held request's answer. Raises OSError where there is none."""
    data = b""
    while (match := _ANSWER.search(data)) is None:
        piece = client.recv(65536)
        if not piece:
            raise ConnectionResetError("no whole answer")
        data += piece
    return int(match[1]), match[2].decode()


def request(port: int) -> Answer:
    """Send one request on a connection of its own."""
    began = time.monotonic()
    try:
        with hold(port) as client:
            pid, version = read_answer(client)
    except OSError:
        return Answer(began, time.monotonic() - began)
    return Answer(began, time.monotonic() - began, pid, version)


class Load:
    """A few clients that send one request after the other."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.answers: list[Answer] = []
        self._port = port
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    @contextlib.contextmanager
    def running(self) -> Iterator[Load]:
        """Send them during the block, from half a second before it on."""
        for thread in self._threads:
            thread.start()
        time.sleep(0.5)
        try:
            yield self
        finally:
            self._ending.set()
            for thread in self._threads:
                thread.join(PATIENCE_S * 3)

    def wait_for(self, condition: Callable[[Answer], bool], since: float, seconds: float) -> float | None:
        """Return how long after `since` the first answer came that fulfils a condition; None: never."""
        while time.monotonic() < since + seconds:
            for answer in self.answers[:]:
                if answer.began >= since and condition(answer):
                    return answer.began + answer.seconds - since
            time.sleep(0.02)
        return None

    def failed(self, since: float) -> int:
        """Return how many requests that began from then on failed."""
        return sum(not answer.pid for answer in self.answers if answer.began >= since)

    def longest_s(self, since: float, until: float = float("inf")) -> float:
        """Return the time that the slowest of them took."""
        return max((a.seconds for a in self.answers if since <= a.began < until), default=0.0)

    def _run(self) -> None:
        while not self._ending.is_set():
            self.answers.append(request(self._port))
            time.sleep(0.002)  # it is about errors and not about speed
