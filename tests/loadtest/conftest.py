from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadtest.spawner import Spawner
from tests.loadtest.fake import FakeStack, fake_stack


@pytest.fixture
def stack() -> Iterator[FakeStack]:
    """A stack that gives right answers until it is told otherwise."""
    with fake_stack() as server:
        yield server


@pytest.fixture(scope="session")
def spawner() -> Iterator[Spawner]:
    """Runs locust for all tests, which takes a second or two to load."""
    with Spawner() as spawner:
        yield spawner
