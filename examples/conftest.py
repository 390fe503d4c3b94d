"""Gives the examples' tests the PostgreSQL that they ask for with TEST_DATABASE_URL when they run alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def test_database_url(database_url: str) -> Iterator[None]:
    """Set TEST_DATABASE_URL for this run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_DATABASE_URL", database_url)
        yield
