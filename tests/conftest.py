"""The stack that tests share: application, proxies and database, started once by the kit itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import Kit


@pytest.fixture(scope="session")
def stack_kit() -> Iterator[Kit]:
    """The kit, with the whole stack up on random ports. Leave it as it is: other tests use the same."""
    kit = Kit()
    try:
        kit("up", "--detach", "--ports", "auto")
        yield kit
    finally:
        kit.close()


@pytest.fixture(scope="session")
def stack(stack_kit: Kit) -> dict[str, Any]:
    """What runs: role -> {url, pid, version, ...}, as `./kit status --json` says it."""
    return stack_kit.status()


@pytest.fixture
def kit() -> Iterator[Kit]:
    """A kit with a stack of its own, which is not up; whatever the test does to it is cleared away."""
    kit = Kit()
    yield kit
    kit.close()
