"""What wrk really sends: its first request, taken by a listener of our own, so that it can be verified."""

from __future__ import annotations

import functools
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from loadtest.peers.catalogue import PeerError

__all__ = ["captured"]

HOST = "127.0.0.1"
TIMEOUT_S = 10.0


@functools.cache
def captured(script: Path, words: Sequence[str]) -> bytes:
    """Return the first request that wrk sends with a script. Raises PeerError."""
    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(TIMEOUT_S)
        url = f"http://{HOST}:{listening.getsockname()[1]}/"
        process = subprocess.Popen(
            ["wrk", "-t1", "-c1", "-d10s", "-s", str(script), url, "--", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while True:  # its first connection only tells it that somebody listens
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(TIMEOUT_S)
                    data = b""
                    while b"\r\n\r\n" not in data and (piece := connection.recv(65536)):
                        data += piece
                if data:
                    return data[: data.index(b"\r\n\r\n") + 4]
        except (TimeoutError, ValueError) as error:
            raise PeerError(f"wrk sends no request with {script}") from error
        finally:
            process.kill()
            process.wait()
