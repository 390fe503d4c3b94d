"""Every command in the examples' READMEs does what the README says, in a copy of the folder alone."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import psycopg
import pytest

from tests.postgres import Postgres
from tests.readme import run_readme

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment with the `pierhead` command, and no settings of this machine."""
    for name in ("DATABASE_URL", "DATABASE_PASSWORD_FILE", "SIMPLE_DB"):
        monkeypatch.delenv(name, raising=False)
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_simple(tmp_path: Path, env: dict[str, str]) -> None:
    folder = shutil.copytree(EXAMPLES / "simple", tmp_path / "simple")
    assert len(run_readme(folder / "README.md", cwd=folder, env=env)) > 10
    assert (folder / "simple.db").exists()


def test_hexagonal(tmp_path: Path, env: dict[str, str], postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("postgres")) as connection:  # the README shows the ids of fresh tables
        connection.execute("TRUNCATE hexagonal.users, hexagonal.products RESTART IDENTITY CASCADE")
    folder = shutil.copytree(EXAMPLES / "hexagonal", tmp_path / "hexagonal")
    assert len(run_readme(folder / "README.md", cwd=folder, env=env | {"DATABASE_URL": postgres.url()})) > 10


def test_database(tmp_path: Path, env: dict[str, str], postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("postgres")) as connection:  # the README shows the ids of a fresh table
        connection.execute("TRUNCATE database.products RESTART IDENTITY")
    folder = shutil.copytree(EXAMPLES / "database", tmp_path / "database")
    assert len(run_readme(folder / "README.md", cwd=folder, env=env | {"DATABASE_URL": postgres.url()})) > 8


def test_etag(tmp_path: Path, env: dict[str, str], postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("postgres")) as connection:
        connection.execute("TRUNCATE etag.users RESTART IDENTITY")
    folder = shutil.copytree(EXAMPLES / "etag", tmp_path / "etag")
    assert len(run_readme(folder / "README.md", cwd=folder, env=env | {"DATABASE_URL": postgres.url()})) > 8


def test_sse(tmp_path: Path, env: dict[str, str], postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("postgres")) as connection:
        connection.execute("TRUNCATE sse.notifications RESTART IDENTITY")
    folder = shutil.copytree(EXAMPLES / "sse", tmp_path / "sse")
    assert len(run_readme(folder / "README.md", cwd=folder, env=env | {"DATABASE_URL": postgres.url()})) > 5


def test_websocket(tmp_path: Path, env: dict[str, str], postgres: Postgres) -> None:
    folder = shutil.copytree(EXAMPLES / "websocket", tmp_path / "websocket")
    assert len(run_readme(folder / "README.md", cwd=folder, env=env | {"DATABASE_URL": postgres.url()})) > 4
