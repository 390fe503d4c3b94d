"""One large body: PORT download|upload SIZE."""

from __future__ import annotations

import json
import sys
import time

from loadtest.peers.clients.wire import connect, read_answer, received, request

__all__ = ["download", "upload"]

PIECE = 256 * 1024


def download(port: int, size: int) -> dict[str, object]:
    """Take `size` bytes as fast as they come. Raises OSError."""
    with connect(port) as connection:
        start = time.perf_counter()
        connection.sendall(request("GET", f"/download?{size}"))
        data = b""
        while b"\r\n\r\n" not in data:
            data += received(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        got = len(body)
        buffer = bytearray(PIECE)
        while got < size and (count := connection.recv_into(buffer)):
            got += count
        took = time.perf_counter() - start
    right = head.startswith(b"HTTP/1.1 200") and got == size
    return {"bytes": got, "seconds": took, "errors": {} if right else {"body": 1}}


def upload(port: int, size: int) -> dict[str, object]:
    """Send `size` bytes as fast as they are taken; the answer must be their number. Raises OSError."""
    piece = memoryview(bytes(PIECE))
    with connect(port) as connection:
        start = time.perf_counter()
        connection.sendall(request("POST", "/upload", f"Content-Length: {size}"))
        left = size
        while left > 0:
            connection.sendall(piece[: min(left, PIECE)])
            left -= PIECE
        status, body, _ = read_answer(connection)
        took = time.perf_counter() - start
    right = status == 200 and body == str(size).encode()
    return {"bytes": size, "seconds": took, "errors": {} if right else {"answer": 1}}


if __name__ == "__main__":
    function = {"download": download, "upload": upload}[sys.argv[2]]
    print(json.dumps(function(int(sys.argv[1]), int(sys.argv[3]))))
