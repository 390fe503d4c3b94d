"""Listeners to one stream of events: PORT SECONDS LISTENERS. Events are counted, and none may be missing."""

from __future__ import annotations

import gc
import json
import socket
import sys
import time
from collections.abc import Sequence

from loadtest import machine
from loadtest.peers.clients.wire import connections, poller, received, request

__all__ = ["listen"]

SETTLE_S = 0.5
SILENCE_S = 5.0


class Listener:
    """What one connection has received."""

    __slots__ = ("count", "first", "last", "rest")

    def __init__(self) -> None:
        self.count = 0
        self.first = 0
        self.last = b""
        self.rest = b""

    def feed(self, data: bytes) -> int:
        """Take bytes; return how many events ended in them. What chunks are framed with is not looked at."""
        data = self.rest + data
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            self.rest = data
            return 0
        if not self.first:
            self.first = number(data, data.index(b"id: "))
        self.rest = data[end:]
        self.last = data[:end]
        count = data.count(b"\n\n", 0, end)
        self.count += count
        return count

    def gaps(self) -> int:
        """Return how many events are missing between the first and the last."""
        if not self.count:
            return 1
        return number(self.last, self.last.rindex(b"id: ")) - self.first + 1 - self.count


def number(data: bytes, place: int) -> int:
    """Return the number of the event whose `id: ` is at this place."""
    return int(data[place + 4 : data.index(b"\n", place)])


def listen(port: int, seconds: float, listeners: int) -> dict[str, object]:
    """Count what all listeners receive in a time that begins when everything flows. Raises OSError."""
    machine.raise_file_limit(listeners + 64)
    with connections(port, listeners) as sockets:
        return listen_on(sockets, seconds)


def listen_on(sockets: Sequence[socket.socket], seconds: float) -> dict[str, object]:
    """Do that on connections that are open."""
    message = request("GET", f"/events?{len(sockets)}", "Accept: text/event-stream")
    state: dict[int, Listener] = {}
    for one in sockets:
        one.sendall(message)
        state[one.fileno()] = Listener()
    for one in sockets:
        data = b""
        while b"\r\n\r\n" not in data:
            data += received(one)
        head, _, rest = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"no events but {head[:100]!r}")
        if rest:
            state[one.fileno()].feed(rest)
        one.setblocking(False)
    by_handle = {one.fileno(): one for one in sockets}
    poll = poller(sockets)
    patience = SILENCE_S if hasattr(poll, "fileno") else SILENCE_S * 1000  # epoll takes seconds, poll ms
    clock = time.perf_counter
    begin = clock() + SETTLE_S
    end = begin + seconds
    total = 0
    while (now := clock()) < end:
        ready = poll.poll(patience)
        if not ready:
            raise TimeoutError(f"no event for {SILENCE_S:g} s")
        for handle, _ in ready:
            data = by_handle[handle].recv(65536)
            if not data:
                raise ConnectionResetError("the server ended a stream")
            count = state[handle].feed(data)
            if now >= begin:
                total += count
    took = clock() - begin
    gaps = sum(one.gaps() for one in state.values())
    everything = sum(one.count for one in state.values())
    return {"messages": total, "all": everything, "seconds": took, "errors": {"gaps": gaps} if gaps else {}}


if __name__ == "__main__":
    gc.disable()  # its pauses would be taken for the server's
    print(json.dumps(listen(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))))
