"""What the tests in tests/ and in the examples' folders share: a PostgreSQL, and how they run in parallel."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from stack import ports
from tests import leftovers, parallel
from tests.postgres import Postgres


def pytest_configure(config: pytest.Config) -> None:
    """Have each of several processes choose ports of its own, and who leads them tidy up if interrupted."""
    if worker := getattr(config, "workerinput", None):
        os.environ[ports.RANGE] = parallel.port_range(worker["workerid"], worker["workercount"])
    elif config.getoption("numprocesses", None):
        leftovers.begin()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as `timeout` sends it
        config.pluginmanager.register(Interrupted())


class Interrupted:
    """Ends the other processes itself: they would leave what their fixtures have started running."""

    def pytest_keyboard_interrupt(self) -> None:
        """Do it, before xdist waits for them."""
        leftovers.clear()


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
