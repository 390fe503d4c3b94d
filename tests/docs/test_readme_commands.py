"""README.md: every command does what it promises, its programs run, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.readme import run_readme

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PORTS = (8080, 8081, 8082, 8083, 8090)


def blocks(language: str) -> list[str]:
    """Return the contents of README's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with `./kit` and the application of the README in it, whose stack is stopped in the end."""
    for port in PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.connect(("127.0.0.1", port))
            pytest.skip(f"port {port}, which the README names, is in use")
    place = Path(tempfile.mkdtemp(prefix="pierhead-readme-"))
    place.chmod(0o755)
    (place / "kit").symlink_to(ROOT / "kit")
    (place / "app.py").write_text(blocks("python")[0])
    try:
        yield place
    finally:
        subprocess.run(["./kit", "down"], cwd=place, env=environment(place), check=False, timeout=60)
        shutil.rmtree(place, ignore_errors=True)


def environment(place: Path) -> dict[str, str]:
    """Return the environment of a reader who has the `pierhead` command, and a stack of their own."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "KIT_STATE": str(place / "state"),
    }


def test_commands(folder: Path) -> None:
    assert len(run_readme(ROOT / "README.md", cwd=folder, env=environment(folder))) >= 7


def test_the_test_of_the_application_passes(tmp_path: Path) -> None:
    app, test = blocks("python")
    (tmp_path / "app.py").write_text(app)
    command = [sys.executable, "-c", f"from app import app\n{test}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr


def test_the_application_is_ten_lines() -> None:
    assert len([line for line in blocks("python")[0].splitlines() if line]) <= 10


def test_the_dockerfile_is_three_lines() -> None:
    (dockerfile,) = blocks("dockerfile")
    assert len(dockerfile.splitlines()) == 3


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("**/*.md")))
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    if any(part.startswith(".") for part in Path(page).parts):  # a virtual environment
        return
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), f"{page} links to {target}"
