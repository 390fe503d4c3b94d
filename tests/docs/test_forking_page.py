"""docs/forking.md: its commands do what they promise, in an empty folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.readme import run_readme

ROOT = Path(__file__).parents[2]


def test_commands(tmp_path: Path) -> None:
    (tmp_path / "kit").symlink_to(ROOT / "kit")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    assert len(run_readme(ROOT / "docs" / "forking.md", cwd=tmp_path, env={"PATH": path})) == 3
    assert (tmp_path / "harbour" / "db" / "migrations").is_dir()
