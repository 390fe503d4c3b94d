"""Listeners: from a URL to a bound socket, with errors that say who is in the way.

http://127.0.0.1:8080    http://[::1]:0 (any free port)    http://unix:/run/app.sock
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from pierhead.config.listen import ListenURL
from pierhead.errors import PierheadError

__all__ = ["BindError", "bind", "holder_of", "listener_url", "unlink"]

_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp


class BindError(PierheadError):
    """A listener could not be bound; the message says which, why, and who holds it."""


def bind(url: str, backlog: int) -> socket.socket:
    """Bind and listen; raises BindError.

    `url` is one that the settings accepted (ValueError else). From here on the kernel takes connections in:
    they wait while there is no worker. A unix socket that nobody listens on any more is replaced.
    """
    listener = ListenURL.parse(url)
    try:
        if listener.path:
            return _bind_unix(listener, backlog)
        family, kind, protocol, _, address = socket.getaddrinfo(
            listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        with _closed_on_error(bound):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(address)
            bound.listen(backlog)
            # Every accepted connection inherits it: no small response waits for its predecessor's ACK.
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return bound
    except OSError as error:
        raise BindError(f"cannot listen on {listener}: {_reason(error, listener)}") from error


def listener_url(bound: socket.socket) -> str:
    """Return the URL of a bound socket, with the port the system chose."""
    name = bound.getsockname()
    if bound.family == getattr(socket, "AF_UNIX", None):
        return f"http://unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"http://{host}:{name[1]}"


def unlink(bound: socket.socket) -> None:
    """Remove a unix socket's file, for a server that stops for good."""
    if bound.family == getattr(socket, "AF_UNIX", None):
        with contextlib.suppress(OSError):
            Path(bound.getsockname()).unlink()


def holder_of(port: int) -> str:
    """Name the process that listens on a TCP port; empty where the system does not tell."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


def _bind_unix(listener: ListenURL, backlog: int) -> socket.socket:
    path = Path(listener.path)
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(errno.EADDRINUSE, "there is a file of that name, which is no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)  # a server that is busy would make it wait
            try:
                probe.connect(listener.path)
            except BlockingIOError:
                raise OSError(errno.EADDRINUSE, "another process listens on it") from None
            except ConnectionRefusedError:
                path.unlink()  # nobody listens on it: left behind by a crash
            else:
                raise OSError(errno.EADDRINUSE, "another process listens on it")
    bound = socket.socket(socket.AF_UNIX)
    with _closed_on_error(bound):
        bound.bind(listener.path)
        path.chmod(listener.mode)
        bound.listen(backlog)
    return bound


@contextlib.contextmanager
def _closed_on_error(bound: socket.socket) -> Iterator[None]:
    try:
        yield
    except OSError:
        bound.close()
        raise


def _reason(error: OSError, listener: ListenURL) -> str:
    reason = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE and listener.port:
        holder = holder_of(listener.port)
        return (
            f"the port is in use{' by ' + holder if holder else ''}; stop that program or choose another port"
        )
    if error.errno == errno.EACCES and 0 < listener.port < 1024:
        return "ports below 1024 are for root (or CAP_NET_BIND_SERVICE); choose another port"
    if listener.path and error.errno in {errno.ENOENT, errno.EACCES}:
        return f"{reason}: {os.path.dirname(listener.path)} must exist and be writable"  # noqa: PTH120
    return reason
