"""The pid file: locked while its process lives, and removed when it ends, so that it cannot lie.

Where the master is killed, its generation removes the file (`remove_stale`). Where nobody is left to do so,
it has no lock: `flock --nonblock --shared FILE true` tells whether what it says is true.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import IO

from pierhead.errors import PierheadError

__all__ = ["PidFile", "PidFileError", "remove_stale"]

_PATIENCE_S = 1.0


class PidFileError(PierheadError):
    """The pid file cannot be written, or belongs to a process that runs."""


class PidFile:
    """Holds this process's pid in a file, under a lock that ends with the process."""

    def __init__(self, path: str, fd: int = -1) -> None:
        """`fd` is the file of the program that ran in this process before, which holds the lock already."""
        self._path = Path(path)
        if fd >= 0:
            self._file: IO[str] = os.fdopen(fd, "a+")
            if _is_at(self._file, self._path):
                return
            self._file.close()  # the setting changed, or somebody removed the file
        self._file = self._take()
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def fileno(self) -> int:
        """Return the descriptor that holds the lock."""
        return self._file.fileno()

    def remove(self) -> None:
        """Remove the file, if it is ours still, and give the lock up."""
        if _is_at(self._file, self._path):
            self._path.unlink(missing_ok=True)
        self._file.close()

    def _take(self) -> IO[str]:
        """Return the file, locked: the one at the path, whoever else removes and makes it meanwhile."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                file = self._path.open("a+")
            except OSError as error:
                raise PidFileError(f"cannot write pid_file {self._path}: {error.strerror}") from error
            if _lock(file):
                if _is_at(file, self._path):
                    return file
                file.close()
                continue
            file.seek(0)
            holder = file.read().strip()
            file.close()
            # A killed master's file is locked for a moment by who removes it.
            if _runs(holder) or time.monotonic() > deadline:
                raise PidFileError(f"pid_file {self._path} is held by process {holder or '?'}, which runs")
            time.sleep(0.01)


def remove_stale(path: str | Path, pid: int) -> None:
    """Remove the file of a master that was killed: if it names it, nobody holds it, and this process may."""
    with contextlib.suppress(OSError), Path(path).open() as file:
        if _lock(file) and _is_at(file, Path(path)) and file.read().strip() == str(pid):
            Path(path).unlink()


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, OSError):
        return False
    return True
