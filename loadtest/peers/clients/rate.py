"""GETs at a constant rate: PORT RATE SECONDS CONNECTIONS. The time of each is counted from when it was due.

So a server that stands still for a moment is charged for every request that was due meanwhile, which a client
that waits for an answer before it asks again would not notice. It never sleeps, in order to be on time: it
needs a core of its own, and says how late it was itself.
"""

from __future__ import annotations

import gc
import json
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence

from loadtest.peers.clients.wire import connections, percentiles, poller, read_answer, request

__all__ = ["measure"]

AFTER_S = 5.0  # how long answers are waited for after the last request


def measure(port: int, rate: float, seconds: float, count: int) -> dict[str, object]:
    """Send `rate` requests a second on `count` connections; return their latencies. Raises OSError."""
    with connections(port, count) as sockets:
        return measure_on(sockets, rate, seconds)


def measure_on(sockets: Sequence[socket.socket], rate: float, seconds: float) -> dict[str, object]:
    """Do that on connections that are open."""
    message = request("GET", "/")
    expected = 0
    for one in sockets:  # the first answer on each is not counted, but says how long one is
        one.sendall(message)
        _, _, expected = read_answer(one)
        one.setblocking(False)
    by_handle = {one.fileno(): one for one in sockets}
    poll = poller(sockets)
    free = deque(by_handle)
    due: dict[int, float] = {}
    left = dict.fromkeys(by_handle, 0)
    queue: deque[float] = deque()
    latencies: list[float] = []
    late: list[float] = []
    total = int(rate * seconds)
    interval = 1.0 / rate
    clock = time.perf_counter
    sent = errors = 0
    start = clock() + 0.01
    deadline = start + seconds + AFTER_S
    while len(latencies) < total:
        now = clock()
        while sent < total and (intended := start + sent * interval) <= now:
            sent += 1
            if free:
                handle = free.popleft()
                due[handle] = intended
                left[handle] = expected
                by_handle[handle].send(message)
                late.append(clock() - intended)
            else:
                queue.append(intended)
        if now > deadline:
            break
        for handle, _ in poll.poll(0):
            left[handle] -= len(data := by_handle[handle].recv(65536))
            if not data or left[handle] < 0:
                raise ConnectionResetError("the server closed a connection, or answered more than was asked")
            if left[handle] == 0:
                latencies.append(clock() - due.pop(handle))
                if not data.endswith(b"Hello, World!"):
                    errors += 1
                if queue:
                    due[handle] = queue.popleft()
                    left[handle] = expected
                    by_handle[handle].send(message)
                else:
                    free.append(handle)
    took = clock() - start
    return {
        "requests": len(latencies),
        "seconds": took,
        "errors": {name: n for name, n in (("timeout", total - len(latencies)), ("body", errors)) if n > 0},
        "latency_us": percentiles(latencies),
        "late_us": percentiles(late),
    }


if __name__ == "__main__":
    gc.disable()  # its pauses would be taken for the server's
    print(json.dumps(measure(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))))
