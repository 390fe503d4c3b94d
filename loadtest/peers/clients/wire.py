"""What the clients share: connections, requests, and percentiles of what they measured."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["HOST", "READABLE", "connect", "connections", "percentiles", "poller", "read_answer", "request"]

HOST = "127.0.0.1"
READABLE = 1  # POLLIN and EPOLLIN
TIMEOUT_S = 20.0


def connect(port: int) -> socket.socket:
    """Return a connection to the server on this machine."""
    connection = socket.create_connection((HOST, port), timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextlib.contextmanager
def connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Open so many connections for the time of the block."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(port)) for _ in range(count)]


def request(method: str, path: str, *headers: str) -> bytes:
    """Return a request's head."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {HOST}", *headers, "", ""]).encode("ascii")


def read_answer(connection: socket.socket) -> tuple[int, bytes, int]:
    """Read an answer with a Content-Length; return its status, its body, and its size with the head.

    Raises ConnectionError.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        data += received(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += received(connection)
    return int(head.split(b" ", 2)[1]), body, len(head) + 4 + len(body)


def received(connection: socket.socket) -> bytes:
    """Return the next bytes. Raises ConnectionError at the end."""
    if not (data := connection.recv(65536)):
        raise ConnectionResetError("the server closed the connection")
    return data


def poller(sockets: Sequence[socket.socket]) -> Any:
    """Return the system's best poll for these; `.poll(0)` gives the handles that can be read, with flags."""
    poll = select.epoll() if hasattr(select, "epoll") else select.poll()
    for one in sockets:
        poll.register(one.fileno(), READABLE)
    return poll


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return percentiles of times in seconds, as microseconds; nothing for no values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    last = len(ordered) - 1
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {name: ordered[round(last * share)] * 1e6 for name, share in shares.items()}
