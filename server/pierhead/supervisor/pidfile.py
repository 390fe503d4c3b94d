"""The pid file: locked while its process lives, so that it cannot lie."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pierhead.errors import PierheadError

__all__ = ["PidFile", "PidFileError"]


class PidFileError(PierheadError):
    """The pid file cannot be written, or belongs to a process that runs."""


class PidFile:
    """Holds this process's pid in a file, under a lock that ends with the process."""

    def __init__(self, path: str, fd: int = -1) -> None:
        """`fd` is the file of the program that ran in this process before, which holds the lock already."""
        self._path = Path(path)
        if fd >= 0:
            self._file = os.fdopen(fd, "a+")
            if self._is_ours():
                return
            self._file.close()  # the setting changed, or somebody removed the file
        try:
            self._file = self._path.open("a+")
        except OSError as error:
            raise PidFileError(f"cannot write pid_file {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip()
            self._file.close()
            raise PidFileError(f"pid_file {path} is held by process {holder}, which runs") from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def fileno(self) -> int:
        """Return the descriptor that holds the lock."""
        return self._file.fileno()

    def _is_ours(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except OSError:
            return False

    def remove(self) -> None:
        """Remove the file and give the lock up."""
        self._path.unlink(missing_ok=True)
        self._file.close()
