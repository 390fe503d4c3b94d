"""The control socket: how `pierhead status`, `top` and `reload` talk to a running master.

It is a unix socket for the same user (and root) alone; one JSON object a line goes each way.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

from pierhead.errors import PierheadError
from pierhead.supervisor.channel import Channel

__all__ = ["AUTO", "Control", "ControlError", "ask", "find", "remove_stale"]

AUTO = "auto"
_TIMEOUT_S = 2.0
_BACKLOG = 128
_AGAIN_S = 0.02


class ControlError(PierheadError):
    """The control socket cannot be made, or nobody answers at it."""


class Control:
    """The master's end: a listening socket that is removed with `close`.

    Where the master is killed, its generation removes it (`remove_stale`); what is left nevertheless is
    removed by who looks for a server.
    """

    def __init__(self, path: str) -> None:
        """Listen at `path`, or for AUTO in the user's folder. Raises ControlError."""
        self.path = _folder(create=True) / f"{os.getpid()}.sock" if path == AUTO else Path(path)
        try:
            if path == AUTO:
                _clear(self.path.parent)
            else:
                remove_stale(self.path)
            self._socket = socket.socket(socket.AF_UNIX)
            with _umask(0o177):
                self._socket.bind(str(self.path))
            self._socket.listen(_BACKLOG)
            self._socket.setblocking(False)
        except OSError as error:
            raise ControlError(f"cannot listen at control_socket {self.path}: {error.strerror}") from error

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._socket.fileno()

    def accept(self) -> Channel | None:
        """Return a new client, None where there is none any more, or it is somebody else's."""
        try:
            client, _ = self._socket.accept()
        except OSError:
            return None
        if not _may_ask(client):
            Channel(client).send(failed=f"this server answers root and user {os.getuid()} only")
            client.close()
            return None
        client.settimeout(_TIMEOUT_S)  # who asks and does not read the answer does not hold the master up
        return Channel(client)

    def close(self) -> None:
        """Listen no more, and remove the socket."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def remove_stale(path: str | Path) -> None:
    """Remove the socket of a server that was killed: if nobody answers at it, and this process may."""
    path = Path(path)
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(path.lstat().st_mode) and not _answers(path):
            path.unlink()


def find(path: str = AUTO) -> Path:
    """Return the socket of the server that runs, by `path` or as the only one of this user.

    Raises ControlError that says which there are.
    """
    if path != AUTO:
        return Path(path)
    try:
        folder = _folder(create=False)
        _clear(folder)
        found = sorted(folder.glob("*.sock"))
    except (OSError, ControlError):
        found = []
    if len(found) == 1:
        return found[0]
    if not found:
        raise ControlError(f"no server of this user runs here (there is no control socket in {_base()})")
    names = "\n".join(f"  --control-socket {one}" for one in found)
    raise ControlError(f"several servers run here; say which:\n{names}")


def ask(path: Path, timeout_s: float, **request: Any) -> dict[str, Any]:
    """Send a request to a master and return its answer; raises ControlError."""
    started = time.monotonic()
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(timeout_s)
    try:
        while not _connected(client, path, started + timeout_s):
            time.sleep(_AGAIN_S)
    except OSError as error:
        client.close()
        raise ControlError(f"nobody answers at {path}: {error.strerror or error}") from error
    channel = Channel(client)
    try:
        channel.send(**request)
        answer = channel.receive_one()
    except ValueError as error:
        raise ControlError(f"what answers at {path} is no pierhead server") from error
    finally:
        channel.close()
    if answer is None:
        late = time.monotonic() >= started + timeout_s
        why = f"did not answer in {timeout_s:g} s" if late else "ended without an answer: it is stopping"
        raise ControlError(f"the server at {path} {why}")
    return answer


def _connected(client: socket.socket, path: Path, deadline: float) -> bool:
    """Connect; False where too many others wait to be let in, and there is time to try again."""
    try:
        client.connect(str(path))
    except BlockingIOError:
        if time.monotonic() < deadline:
            return False
        raise
    return True


def _base() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())


def _folder(*, create: bool) -> Path:
    """Return the user's own folder for sockets; raises ControlError where it is not private."""
    folder = _base() / f"pierhead-{os.getuid()}"
    try:
        if create:
            folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
    except OSError as error:
        raise ControlError(f"no control socket: {folder}: {error.strerror}") from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise ControlError(f"no control socket: {folder} is not a folder of this user alone (mode 700)")
    return folder


def _clear(folder: Path) -> None:
    """Remove the sockets of servers that were killed."""
    for path in folder.glob("*.sock"):
        remove_stale(path)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def _may_ask(client: socket.socket) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):  # the file's mode has to do
        return True
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] in {0, os.getuid()}


class _umask(contextlib.AbstractContextManager["_umask"]):
    def __init__(self, mask: int) -> None:
        self._mask = mask

    def __enter__(self) -> _umask:
        self._mask = os.umask(self._mask)
        return self

    def __exit__(self, *error: object) -> None:
        os.umask(self._mask)
