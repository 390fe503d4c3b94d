"""One large body: PORT download|upload SIZE.

Where the system can, the bytes are neither copied out of the kernel nor into it, so that the server is slower
than this client. What arrives is counted, not looked at.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import time

from loadtest.peers.clients.wire import connect, read_answer, received, request

__all__ = ["download", "upload"]

PIECE = 256 * 1024
# Linux throws away what TCP received when told to cut it off: nothing is copied (tcp(7)).
DISCARD = socket.MSG_TRUNC if sys.platform == "linux" else 0


def download(port: int, size: int) -> dict[str, object]:
    """Take `size` bytes as fast as they come. Raises OSError."""
    with connect(port) as connection:
        start, busy = time.perf_counter(), time.process_time()
        connection.sendall(request("GET", f"/download?{size}"))
        data = b""
        while b"\r\n\r\n" not in data:
            data += received(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        got = len(body)
        buffer = bytearray(PIECE)
        while got < size and (count := connection.recv_into(buffer, 0, DISCARD)):
            got += count
        took, used = time.perf_counter() - start, time.process_time() - busy
    right = head.startswith(b"HTTP/1.1 200") and got == size
    return {"bytes": got, "seconds": took, "cpu_s": used, "errors": {} if right else {"body": 1}}


def upload(port: int, size: int) -> dict[str, object]:
    """Send `size` bytes as fast as they are taken; the answer must be their number. Raises OSError."""
    with connect(port) as connection, tempfile.TemporaryFile() as source:
        source.write(bytes(PIECE))
        source.flush()
        start, busy = time.perf_counter(), time.process_time()
        connection.sendall(request("POST", "/upload", f"Content-Length: {size}"))
        left = size
        while left > 0:
            left -= connection.sendfile(source, 0, min(left, PIECE))
        status, body, _ = read_answer(connection)
        took, used = time.perf_counter() - start, time.process_time() - busy
    right = status == 200 and body == str(size).encode()
    return {"bytes": size, "seconds": took, "cpu_s": used, "errors": {} if right else {"answer": 1}}


if __name__ == "__main__":
    function = {"download": download, "upload": upload}[sys.argv[2]]
    print(json.dumps(function(int(sys.argv[1]), int(sys.argv[3]))))
