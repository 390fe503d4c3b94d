"""PostgreSQL where root's own folders are closed to the user that it must run as."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from stack import postgres
from stack.errors import KitError
from stack.state import SYSTEM, State, can_read, unprivileged
from tests.kit import Kit

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root must run PostgreSQL as another user")


def test_the_programs_are_copied_once_to_where_everybody_can_run_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody = unprivileged("nobody")
    assert nobody is not None
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        monkeypatch.setattr(postgres, "SYSTEM", Path(name) / "system")
        monkeypatch.setattr(postgres, "can_read", lambda user, path: False)
        binaries = postgres.programs(nobody)
        assert binaries.is_relative_to(name)
        for program in ("postgres", "initdb", "psql"):
            command = [str(binaries / program), "--version"]
            result = subprocess.run(
                command, user=nobody.uid, capture_output=True, text=True, check=True, cwd="/"
            )
            assert "PostgreSQL) 18." in result.stdout
        before = binaries.stat().st_ino
        assert postgres.programs(nobody).stat().st_ino == before
        assert len(list((Path(name) / "system").iterdir())) == 1  # and nothing half copied


def test_a_place_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(postgres, "SYSTEM", tmp_path / "file")
    monkeypatch.setattr(postgres, "can_read", lambda user, path: False)
    with pytest.raises(KitError, match=r"cannot copy PostgreSQL to .*file/postgresql-18"):
        postgres.programs(unprivileged("nobody"))


def test_the_database_moves_out_of_a_folder_that_only_root_may_enter(kit: Kit) -> None:
    kit.state.chmod(0o700)
    assert not can_read(postgres.account(), kit.state)
    kit("up", "--detach", "--ports", "auto", "--only", "db")
    data = Path(kit.status()["db"]["data"])
    assert data.is_relative_to(SYSTEM)
    assert "one\n" in kit("psql", "-At", "-c", "SELECT 'one'").stdout
    kit("down", "--delete-data")
    assert not State(kit.state).outside.exists()
