"""The example under test, started anew for each test on the PostgreSQL of TEST_DATABASE_URL."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from pierhead.testing import Client

APP = Path(__file__).parents[1] / "app.py"


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a PostgreSQL with db/migrations applied, and without products."""
    url = os.environ.get("TEST_DATABASE_URL")
    if not url:
        pytest.skip("TEST_DATABASE_URL does not name a PostgreSQL to test on")
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.delenv("DATABASE_PASSWORD_FILE", raising=False)
    return url


@pytest.fixture
def other(url: str) -> Iterator[psycopg.Connection]:
    """A connection beside the example's."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM database.products")
        yield connection


@pytest.fixture
def module() -> ModuleType:
    """The example as a fresh module."""
    spec = importlib.util.spec_from_file_location("database_example", APP)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.POOL_TIMEOUT_S = module.STATEMENT_TIMEOUT_S = 20  # a busy machine may take its time
    return module


@pytest.fixture
def client(module: ModuleType, other: psycopg.Connection) -> Iterator[Client]:
    """A client of the example."""
    with Client(module.app) as client:
        yield client
