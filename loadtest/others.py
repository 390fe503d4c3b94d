"""The same application on other servers: the examples as an ASGI application, as further targets of a run."""

from __future__ import annotations

import contextlib
import http.client
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtest.peers.catalogue import APPS, PEERS, Peer
from loadtest.peers.running import HOST, ROOT, stop
from loadtest.targets import TargetError
from stack import ports
from stack.process import Process, start

__all__ = ["NAMES", "chosen", "serving"]

ASGI, EXAMPLES = f"{APPS}.asgi:app", f"{APPS}.examples:app"
NAMES = tuple(peer.name for peer in PEERS if peer.interface == "ASGI")
START_S = 60.0
POLL_S = 0.05


def chosen(names: Sequence[str]) -> list[Peer]:
    """Return the servers of these names, of which `-asgi` may be left out.

    Raises TargetError for one that is unknown or not installed.
    """
    named = {peer.name: peer for peer in PEERS if peer.name in NAMES}
    short = {name.removesuffix("-asgi"): peer for name, peer in named.items() if name != "pierhead-asgi"}
    known = short | named
    for name in names:
        if name not in known:
            raise TargetError(f"--peers {name}: no such server; there are: {', '.join(NAMES)}")
        if reason := known[name].missing():
            raise TargetError(f"--peers {name}: {reason}")
    return [known[name] for name in names]


@contextlib.contextmanager
def serving(
    names: Sequence[str], env: Mapping[str, str], workers: int
) -> Iterator[dict[str, dict[str, Any]]]:
    """Run the examples on these servers for the time of the block; yields name -> {url, pid, version}.

    `env` says where the database is. Raises TargetError.
    """
    with contextlib.ExitStack() as stack:
        yield {peer.name: stack.enter_context(one(peer, env, workers)) for peer in chosen(names)}


@contextlib.contextmanager
def one(peer: Peer, env: Mapping[str, str], workers: int) -> Iterator[dict[str, Any]]:
    """Run one of them."""
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder, port = Path(name), ports.any_free()
        command = [EXAMPLES if word == ASGI else word for word in peer.command(port, workers, folder)]
        log = folder / "server.log"
        process = start(command, env={**env, "PYTHONPATH": str(ROOT)}, log=log, cwd=folder)
        try:
            wait_until_ready(peer, process, port, log)
            print(f"  the examples run on {peer.name} {peer.version()}", flush=True)
            yield {
                "url": f"http://{HOST}:{port}",
                "pid": process.pid,
                "version": f"{peer.name} {peer.version()}",
            }
        finally:
            stop(process)


def wait_until_ready(peer: Peer, process: Process, port: int, log: Path) -> None:
    """Return once the server answers. Raises TargetError with its last words if it does not."""
    deadline = time.monotonic() + START_S
    while status_of(port) != 200:
        if not process.alive() or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
            raise TargetError(f"the examples do not run on {peer.name}; it said:\n{said or '(nothing)'}")
        time.sleep(POLL_S)


def status_of(port: int) -> int:
    """Return the status of GET /, or 0 if there is no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
