"""Clients: a load of requests, each on a new connection, and single ones that are held open."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Answer", "Load", "close_code", "hold", "open_websocket", "read_answer", "request"]

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


def open_websocket(port: int) -> socket.socket:
    """Return a WebSocket that is open. Raises OSError where it is refused."""
    client = socket.create_connection((HOST, port), PATIENCE_S)
    client.sendall(
        f"GET /socket HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = client.recv(1)
        if not piece:
            raise ConnectionResetError("the WebSocket was refused")
        head += piece
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionRefusedError(head.partition(b"\r\n")[0].decode())
    return client


def close_code(client: socket.socket, seconds: float) -> int | None:
    """Answer a WebSocket's close frame (RFC 6455, 5.5.1); returns its code, None where none comes in time."""
    client.settimeout(seconds)
    try:
        frame = client.recv(2, socket.MSG_WAITALL)
        if len(frame) < 2 or frame[0] != 0x88 or frame[1] < 2:
            return None
        payload = client.recv(frame[1], socket.MSG_WAITALL)
        client.sendall(bytes([0x88, 0x82, 0, 0, 0, 0]) + payload[:2])  # masked by zeros
    except OSError:
        return None
    return int.from_bytes(payload[:2], "big")


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
