"""The example under test, started anew for each test: on a SQLite file, and on PostgreSQL if there is one."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pierhead.testing import Client

APP = Path(__file__).parents[1] / "app.py"


@pytest.fixture
def module() -> ModuleType:
    """The example as a fresh module."""
    spec = importlib.util.spec_from_file_location("simple_example", APP)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.POOL_TIMEOUT_S = module.STATEMENT_TIMEOUT_S = 20  # a busy machine may take its time
    return module


@pytest.fixture
def sqlite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The SQLite file that the example will use."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("SIMPLE_DB", str(tmp_path / "users.db"))
    return tmp_path / "users.db"


@pytest.fixture
def postgresql(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a PostgreSQL with db/migrations applied, and without users."""
    url = os.environ.get("TEST_DATABASE_URL")
    if not url:
        pytest.skip("TEST_DATABASE_URL does not name a PostgreSQL to test on")
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM simple.users")
    monkeypatch.setenv("DATABASE_URL", url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def client(request: pytest.FixtureRequest, module: ModuleType) -> Iterator[Client]:
    """A client of the example, on each database in turn."""
    request.getfixturevalue(request.param)
    with Client(module.app) as client:
        yield client
