"""The logs of the stack's processes: their last lines, and following them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

__all__ = ["Follower", "labelled", "tail"]

COLOURS = (36, 32, 33, 35, 34, 31)  # cyan, green, yellow, magenta, blue, red
TAIL_BYTES = 64 * 1024


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log; none if there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            content = file.read()
    except OSError:
        return []
    return content.decode(errors="replace").splitlines()[-lines:] if lines else []


def labelled(names: Iterable[str]) -> Mapping[str, str]:
    """Return the prefix of each name: of one width, in colour on a terminal (unless NO_COLOR is set)."""
    names = list(names)
    width = max(map(len, names), default=0)
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return {name: f"{name:{width}} | " for name in names}
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    return {name: f"\033[{colours[name]}m{name:{width}} |\033[0m " for name in names}


class Follower:
    """Reads what is appended to some logs; also when a log is replaced by a new one."""

    def __init__(self, paths: Mapping[str, Path], *, from_start: bool) -> None:
        """Follow name -> path, from the first line on, or only what comes from now on."""
        self.paths = dict(paths)
        self.from_start = from_start
        self.files: dict[str, BinaryIO] = {}
        self.rest: dict[str, bytes] = {}
        self.poll_files()
        self.from_start = True  # a log that comes later, or is replaced, is read from its start

    def __enter__(self) -> Follower:
        """Return itself; the files are closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        for file in self.files.values():
            file.close()

    def poll_files(self) -> None:
        """Open logs that are there now."""
        for name, path in self.paths.items():
            try:
                found = path.stat()
            except OSError:
                continue
            if (file := self.files.get(name)) is not None:
                if os.fstat(file.fileno()).st_ino == found.st_ino:
                    continue
                file.close()
            file = self.files[name] = path.open("rb")
            if not self.from_start:
                file.seek(0, os.SEEK_END)

    def poll(self) -> list[tuple[str, str]]:
        """Return (name, line) for each complete line that came since the last call."""
        lines = []
        for name, file in self.files.items():
            *complete, rest = (self.rest.get(name, b"") + file.read()).split(b"\n")
            self.rest[name] = rest
            lines += [(name, line.decode(errors="replace")) for line in complete]
        self.poll_files()
        return lines
