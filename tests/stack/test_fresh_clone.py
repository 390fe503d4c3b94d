"""What a newcomer does: a fresh checkout, `./kit up`, requests, `./kit down`; no root, spaces in the path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.process import Account
from stack.state import unprivileged
from tests.kit import ROOT, Kit
from tests.stack.requests import round_trip

USABLE = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", ".kit", "results", "__pycache__", ".*_cache", ".hypothesis"
)


def usable_python(user: Account | None) -> str | None:
    """Return a Python that this user can make an environment with."""
    names = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
    found = [str(Path(sys.base_prefix) / "bin" / "python3"), *map(shutil.which, names), "/usr/bin/python3"]
    uid = user.uid if user else None
    for python in filter(None, found):
        try:
            result = subprocess.run(
                [python, "-c", USABLE], user=uid, capture_output=True, cwd="/", check=False
            )
        except OSError:
            continue
        if result.returncode == 0:
            return python
    return None


@pytest.fixture
def clone() -> Iterator[Kit]:
    """A copy of the checkout, which belongs to a user without any rights."""
    user = unprivileged("nobody")
    python = usable_python(user)
    if python is None:
        pytest.skip("no Python >= 3.11 with venv and ensurepip that a user other than root can run")
    kit = Kit()
    home = kit.state
    kit.cwd = Path(shutil.copytree(ROOT, home / "my clone", ignore=LEFT_OUT))
    kit.command = [python, "kit"]
    kit.state = kit.cwd / ".kit"
    kit.timeout_s = 280
    if user:
        kit.user = user.uid
        for path in (home, *home.rglob("*")):
            os.chown(path, user.uid, user.gid, follow_symlinks=False)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(home))
            for name in ("KIT_VENV", "PYTHONPATH", "VIRTUAL_ENV"):
                patch.delenv(name, raising=False)
            yield kit
            kit.close()
    finally:
        shutil.rmtree(home)


@pytest.mark.slow
def test_one_command_from_a_checkout_to_a_running_stack(clone: Kit) -> None:
    output = clone("up", "--detach", "--ports", "auto").stdout
    assert "Making a virtual environment in " in output
    assert "Installing what ./kit needs" in output
    status = clone.status()
    assert {"app", "db", "caddy", "nginx"} <= set(status)
    assert Path(status["db"]["data"]) == clone.cwd / ".kit" / "db" / "data"
    for role, facts in status.items():
        assert facts["healthy"], facts
        if clone.user is not None:
            assert Path(f"/proc/{facts['pid']}").stat().st_uid == clone.user
        if role != "db":
            round_trip(facts["url"])
    assert "already up" in clone("up").stdout
    clone("down")
    assert clone.left_over() == []
