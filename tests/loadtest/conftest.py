from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.loadtest.fake import FakeStack, fake_stack


@pytest.fixture
def stack() -> Iterator[FakeStack]:
    """A stack that gives right answers until it is told otherwise."""
    with fake_stack() as server:
        yield server
