"""Messages that come back: PORT SECONDS CONNECTIONS. Each connection has one under way."""

from __future__ import annotations

import base64
import gc
import json
import socket
import struct
import sys
import time
from collections.abc import Sequence

from loadtest.peers.clients.wire import connections, poller, received, request

__all__ = ["echo"]

SETTLE_S = 0.5
SILENCE_S = 5.0
TEXT = b"a message of some forty bytes, as chats have"
MASK = b"\x21\x43\x65\x07"


def frame(text: bytes) -> tuple[bytes, bytes]:
    """Return a short text message as a client sends it, and as it has to come back (RFC 6455, 5.2)."""
    masked = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(text))
    head = struct.pack("!BB", 0x81, len(text))
    return struct.pack("!BB", 0x81, 0x80 | len(text)) + MASK + masked, head + text


def shake_hands(connection: socket.socket) -> None:
    """Make a WebSocket of a connection, without extensions. Raises OSError."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    headers = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    connection.sendall(request("GET", "/echo", *headers, f"Sec-WebSocket-Key: {key}"))
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += received(connection)
    if not data.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(f"no WebSocket but {data[:100]!r}")


def echo(port: int, seconds: float, count: int) -> dict[str, object]:
    """Count messages that came back in a time that begins when everything flows. Raises OSError."""
    with connections(port, count) as sockets:
        for one in sockets:
            shake_hands(one)
        return echo_on(sockets, seconds)


def echo_on(sockets: Sequence[socket.socket], seconds: float) -> dict[str, object]:
    """Do that on WebSockets that are open."""
    message, expected = frame(TEXT)
    by_handle = {one.fileno(): one for one in sockets}
    poll = poller(sockets)
    patience = SILENCE_S if hasattr(poll, "fileno") else SILENCE_S * 1000  # epoll takes seconds, poll ms
    part = dict.fromkeys(by_handle, b"")
    for one in sockets:
        one.sendall(message)
        one.setblocking(False)
    clock = time.perf_counter
    begin = clock() + SETTLE_S
    end = begin + seconds
    total = before = wrong = 0
    while (now := clock()) < end:
        ready = poll.poll(patience)
        if not ready:
            raise TimeoutError(f"no message for {SILENCE_S:g} s")
        for handle, _ in ready:
            connection = by_handle[handle]
            data = connection.recv(4096)
            if data != expected:
                if not data:
                    raise ConnectionResetError("the server ended a connection")
                data = part[handle] + data
                if len(data) < len(expected):
                    part[handle] = data
                    continue
                part[handle] = b""
                wrong += data != expected
            connection.send(message)
            if now >= begin:
                total += 1
            else:
                before += 1
    took = clock() - begin
    return {
        "messages": total,
        "all": before + total,
        "seconds": took,
        "errors": {"wrong": wrong} if wrong else {},
    }


if __name__ == "__main__":
    gc.disable()  # its pauses would be taken for the server's
    print(json.dumps(echo(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))))
