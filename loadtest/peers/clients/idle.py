"""Idle connections: PORT COUNT. Each has had one answer; they are held until a line comes on standard input.

It says `open` when all are there, and after the line proves that they still were: each gets an answer again.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys

from loadtest import machine
from loadtest.peers.clients.wire import connect, read_answer, request

__all__ = ["hold"]


def hold(port: int, count: int) -> dict[str, object]:
    """Hold `count` connections open between two requests each; return how many were lost. Raises OSError."""
    message = request("GET", "/")
    machine.raise_file_limit(count + 64)
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(count):  # each asks at once: servers do not wait for long for a first request
            sockets.append(stack.enter_context(connect(port)))
            sockets[-1].sendall(message)
            read_answer(sockets[-1])
        print("open", flush=True)
        sys.stdin.readline()
        lost = sum(not answers(one, message) for one in sockets)
    return {"requests": 2 * count - lost, "errors": {"lost": lost} if lost else {}}


def answers(connection: socket.socket, message: bytes) -> bool:
    """Tell whether a connection still works."""
    try:
        connection.sendall(message)
        return read_answer(connection)[0] == 200
    except OSError:
        return False


if __name__ == "__main__":
    print(json.dumps(hold(int(sys.argv[1]), int(sys.argv[2]))))
