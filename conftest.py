"""What the tests in tests/ and in the examples' folders share: a PostgreSQL, and how they run in parallel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from stack import ports
from tests import parallel
from tests.postgres import Postgres


def pytest_configure(config: pytest.Config) -> None:
    """Have each of several processes choose ports of its own."""
    if worker := getattr(config, "workerinput", None):
        os.environ[ports.RANGE] = parallel.port_range(worker["workerid"], worker["workercount"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    parallel.order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Divide the tests by what they share."""
    return parallel.scheduling(config, log)


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
