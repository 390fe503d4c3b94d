"""Watching source files for `--reload`: by their times and sizes, which works on every file system."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["Watcher"]

Stamp = tuple[int, int]
_NOT_OURS = frozenset({"__pycache__", "node_modules"})


class Watcher:
    """Notices changes of files, and of Python files that come and go in directories."""

    def __init__(self, directories: Iterable[str]) -> None:
        self._directories = [Path(directory).resolve() for directory in directories]
        self._files: set[Path] = set()
        self._stamps = self._look()

    def watch(self, files: Iterable[str]) -> None:
        """Watch these files as well; of those that are watched already no change is overlooked."""
        self._files |= {Path(file).resolve() for file in files}
        self._stamps = self._look() | self._stamps

    def changed(self) -> Path | None:
        """Return a file that changed, appeared or vanished since the last call, None if there is none."""
        old, self._stamps = self._stamps, self._look()
        for path in old.keys() | self._stamps.keys():
            if old.get(path) != self._stamps.get(path):
                return path
        return None

    def _look(self) -> dict[Path, Stamp]:
        found = {}
        candidates = set(self._files)
        for directory in self._directories:
            candidates.update(_sources(directory))
        for path in candidates:
            with contextlib.suppress(OSError):
                facts = path.stat()
                found[path] = (facts.st_mtime_ns, facts.st_size)
        return found


def _sources(directory: Path) -> Iterator[Path]:
    """Yield the Python files in a folder and those below, but for hidden ones and what others have installed.

    Folders that go meanwhile are left out (`Path.rglob` may raise, and looks into those that nobody wants).
    """
    for folder, folders, files in os.walk(directory):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _NOT_OURS
            and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))  # noqa: PTH110, PTH118 - often
        ]
        for name in files:
            if name.endswith(".py") and not name.startswith("."):
                yield Path(folder, name)
