"""What it takes to repeat a run: the commit, and digests of the files that configure what is measured."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

__all__ = ["ROOT", "commit", "digests"]

ROOT = Path(__file__).resolve().parent.parent


def commit() -> str:
    """Return which commit this is, with a + if files were changed since; nothing outside of a repository."""
    said = []
    for command in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]):
        try:
            result = subprocess.run(
                ["git", *command], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        said.append(result.stdout.strip())
    return said[0] + ("+" if said[1] else "")


def digests(names: Iterable[str]) -> dict[str, str]:
    """Return SHA-256 of files, and of folders with all that is in them, by their place in the repository."""
    return {name: digest(ROOT / name) for name in names if (ROOT / name).exists()}


def digest(place: Path) -> str:
    """Return the digest of a file, or of the names and contents below a folder."""
    if place.is_file():
        return hashlib.sha256(place.read_bytes()).hexdigest()
    total = hashlib.sha256()
    for path in sorted(place.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            total.update(f"{path.relative_to(place).as_posix()}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
