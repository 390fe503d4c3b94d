"""From a path to the script that answers it."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

__all__ = ["Script", "find_script"]

_UNSAFE = re.compile(r"[/\\\x00]")


class Script(NamedTuple):
    """A file and what it sees of the path."""

    file: Path
    name: str
    """The part of the raw path that names the script."""
    path_info: str
    """The rest of it."""


def find_script(root: Path, raw_path: str, *, index: str | None = None, suffix: str = "") -> Script | None:
    """Return the first file on the way of `raw_path` down from `root`, None where there is none.

    Names that begin with a dot, and links that lead out of `root`, are not there; nor are files with another
    `suffix`. Where nothing is found `index`, a file in `root`, takes the whole path.
    """
    root = root.resolve()
    file = root
    segments = raw_path.split("/")[1:]
    for position, segment in enumerate(segments, 1):
        name = unquote(segment)
        if not name or name.startswith(".") or _UNSAFE.search(name):
            break
        file = file / name
        if _is_file(file):
            if not file.name.endswith(suffix) or not file.resolve().is_relative_to(root):
                break
            used = len("/" + "/".join(segments[:position]))
            return Script(file, raw_path[:used], raw_path[used:])
        if not file.is_dir():
            break
    if index is not None and _is_file(root / index):
        return Script(root / index, "", raw_path)
    return None


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False
