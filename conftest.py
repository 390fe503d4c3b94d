"""What the tests in tests/ and those in the examples' folders share: one PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL for all tests. Leave it up: other tests use the same."""
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def database_url(postgres: Postgres) -> str:
    """Return the URL of the shared PostgreSQL, as the application's role."""
    return postgres.url()
