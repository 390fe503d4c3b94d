"""Watching source files for `--reload`: by their times and sizes, which works on every file system."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Watcher"]

Stamp = tuple[int, int]


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
            candidates.update(
                path
                for path in directory.rglob("*.py")
                if not any(part.startswith(".") for part in path.relative_to(directory).parts)
            )
        for path in candidates:
            with contextlib.suppress(OSError):
                facts = path.stat()
                found[path] = (facts.st_mtime_ns, facts.st_size)
        return found
