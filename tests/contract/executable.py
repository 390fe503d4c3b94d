"""Writes the executable files that start `program` for a request."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["ROOT", "first_line", "write_program"]

ROOT = Path(__file__).parents[2]
PROGRAM = """\
{first}
import sys
sys.path[:0] = [{folder!r}]
from tests.contract.program import main
main()
"""


def first_line(python: str) -> str:
    """Return the line that has a Python run the file: one that starts fast, and looks for no packages."""
    return f"#!{python} -IS"


def write_program(file: Path, python: str = sys.executable, folder: Path = ROOT) -> Path:
    """Write the executable; `folder` is where `tests` is."""
    file.write_text(PROGRAM.format(first=first_line(python), folder=str(folder)))
    file.chmod(0o755)
    return file
