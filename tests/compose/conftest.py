"""One stack for all tests in here: started as a newcomer starts it, and gone without a trace afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.compose import PROXIES, ROOT, Compose, docker, why_not


@pytest.fixture(scope="session")
def compose() -> Iterator[Compose]:
    """The stack, up and healthy. A test that changes it puts it back."""
    if reason := why_not():
        pytest.skip(reason)
    compose = Compose()
    try:
        compose("up", "--wait")
        yield compose
    finally:
        compose.clear()
    left = {kind: names for kind, names in compose.left().items() if names}
    assert not left, f"down -v left something behind: {left}"


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """The server's image, as `docker build .` makes it."""
    tag = f"{Compose().project}-base"
    docker("build", "--quiet", "--tag", tag, str(ROOT), timeout_s=560)
    yield tag
    docker("image", "rm", "--force", tag)


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> str:
    """Each proxy."""
    name: str = request.param
    return name
