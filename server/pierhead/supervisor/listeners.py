"""Listeners: from a URL (see `config.listen`) to a socket that listens; errors say who is in the way."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pierhead.config.listen import ListenURL
from pierhead.errors import PierheadError
from pierhead.supervisor.account import Account

__all__ = ["BindError", "Listener", "adopt", "bind", "holder_of", "listener_url", "unlink"]

_ALONE_S = 5.0  # somebody else may lock a folder for other reasons
_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp


class BindError(PierheadError):
    """A listener could not be bound; the message says which, why, and who holds it."""


class Listener(socket.socket):
    """A socket that listens."""

    url = ListenURL()
    """What it was made of."""


def bind(url: str, backlog: int, account: Account | None = None) -> Listener:
    """Bind and listen; raises BindError.

    `url` is one that the settings accepted (ValueError else), but not `stdio:`. From here on the kernel takes
    connections in: they wait while there is no worker. A unix socket that nobody listens on any more is
    replaced; its file becomes the `account`'s, which is who its mode is for. A socket that is inherited
    belongs to the server from here on.
    """
    listener = ListenURL.parse(url)
    try:
        if listener.fd is not None:
            bound = _inherit(listener.fd, backlog)
        elif listener.path:
            bound = _bind_unix(listener, backlog, account)
        else:
            bound = _bind_tcp(listener, backlog)
    except OSError as error:
        raise BindError(f"cannot listen on {listener}: {_reason(error, listener)}") from error
    bound.url = listener
    return bound


def adopt(url: str, fd: int) -> Listener:
    """Take a socket over that this program bound when it was started before."""
    bound = Listener(fileno=fd)
    bound.url = ListenURL.parse(url)
    return bound


def listener_url(bound: Listener) -> str:
    """Return the URL of a bound socket, with the port the system chose."""
    name = bound.getsockname()
    if bound.family == getattr(socket, "AF_UNIX", None):
        path = name if isinstance(name, str) else "@" + os.fsdecode(name[1:])
        return str(dataclasses.replace(bound.url, path=path or "(unnamed)", fd=None))
    return str(dataclasses.replace(bound.url, host=name[0], port=name[1], fd=None))


def unlink(bound: Listener) -> None:
    """Remove a unix socket's file, for a server that stops for good; not that of another's socket."""
    if bound.url.path and not bound.url.abstract:
        with contextlib.suppress(OSError):
            Path(bound.url.path).unlink()


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


def _bind_tcp(listener: ListenURL, backlog: int) -> Listener:
    family, kind, protocol, _, address = socket.getaddrinfo(
        listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = Listener(family, kind, protocol)
    with _closed_on_error(bound):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        bound.listen(backlog)
        _send_at_once(bound)
    return bound


def _bind_unix(listener: ListenURL, backlog: int, account: Account | None) -> Listener:
    if listener.abstract:
        if sys.platform != "linux":
            raise OSError(errno.EINVAL, "a unix socket without a file is for Linux only")
        address = "\0" + listener.path[1:]
    else:
        address = listener.path
    bound = Listener(socket.AF_UNIX)
    with _closed_on_error(bound), contextlib.nullcontext() if listener.abstract else _alone(Path(address)):
        if not listener.abstract:
            _clear(Path(address))
        bound.bind(address)
        if not listener.abstract:
            if account is not None:
                os.chown(address, account.uid, account.gid)
            Path(address).chmod(listener.mode)
        bound.listen(backlog)
    return bound


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Have nobody else who does the same bind in a socket's folder meanwhile.

    Else two servers that start at once could both find a socket at which nobody answers: the one that another
    has bound, and does not listen at yet. It would be removed, and that server be deaf.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError:  # it may be written, but not read: as before
        yield
        return
    try:
        deadline = time.monotonic() + _ALONE_S
        while not _locked(folder) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield
    finally:
        os.close(folder)


def _locked(fd: int) -> bool:
    import fcntl  # there are no unix sockets where there is no such module

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: as before
        return True
    return True


def _clear(path: Path) -> None:
    """Remove a socket that was left behind by a crash: nobody listens on it."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise OSError(errno.EADDRINUSE, "there is a file of that name, which is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # a server that is busy would make it wait
        try:
            probe.connect(str(path))
        except BlockingIOError:
            raise OSError(errno.EADDRINUSE, "another process listens on it") from None
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError(errno.EADDRINUSE, "another process listens on it")


def _inherit(fd: int, backlog: int) -> Listener:
    if fd <= 2:  # the places of the standard streams: a process started from here gets its own there
        theirs, fd = fd, os.dup(fd)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, theirs)
        os.close(null)
    bound = Listener(fileno=fd)
    with _closed_on_error(bound):
        if bound.type != socket.SOCK_STREAM:
            raise OSError(errno.EINVAL, "it is no stream socket")
        if _connected(bound):
            raise OSError(errno.EISCONN, "it is a connection, no socket that listens: use stdio:")
        bound.set_inheritable(False)
        bound.listen(backlog)
        if bound.family != getattr(socket, "AF_UNIX", None):
            _send_at_once(bound)
    return bound


def _connected(bound: socket.socket) -> bool:
    try:
        bound.getpeername()
    except OSError:
        return False
    return True


def _send_at_once(bound: Listener) -> None:
    """Have no small response wait for its predecessor's ACK; every accepted connection inherits it."""
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@contextlib.contextmanager
def _closed_on_error(bound: socket.socket) -> Iterator[None]:
    try:
        yield
    except OSError:
        bound.close()
        raise


def _reason(error: OSError, listener: ListenURL) -> str:
    reason = error.strerror or str(error)
    if listener.fd is not None and error.errno in {errno.EBADF, errno.ENOTSOCK}:
        what = (
            "no such file descriptor" if error.errno == errno.EBADF else "this file descriptor is no socket"
        )
        return f"{what}; it is for a program that starts the server with a socket, as systemd does"
    if error.errno == errno.EADDRINUSE and listener.port:
        holder = holder_of(listener.port)
        return (
            f"the port is in use{' by ' + holder if holder else ''}; stop that program or choose"
            " another port: --listen http://127.0.0.1:8000, or PIERHEAD_LISTEN"
        )
    if error.errno == errno.EACCES and 0 < listener.port < 1024:
        return "ports below 1024 are for root (or CAP_NET_BIND_SERVICE); choose another port"
    if listener.path and not listener.abstract and error.errno in {errno.ENOENT, errno.EACCES}:
        return f"{reason}: {os.path.dirname(listener.path)} must exist and be writable"  # noqa: PTH120
    return reason
