"""Each test that takes `proxy` runs behind Caddy, nginx and Apache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stack.matrix.programs import PROGRAMS, Apache, Program
from tests.proxy.upstream import Upstream, running_upstream

PARAMETERS = [
    pytest.param(program, id=program.name, marks=[pytest.mark.apache] if program is Apache else [])
    for program in PROGRAMS
]


@pytest.fixture(params=PARAMETERS)
def program(request: pytest.FixtureRequest) -> type[Program]:
    """One of the three programs."""
    chosen: type[Program] = request.param
    if reason := chosen.missing():
        pytest.skip(reason)
    return chosen


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """The application's first server."""
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    """The application's second server."""
    async with running_upstream() as upstream:
        yield upstream


@pytest.fixture
async def proxy(program: type[Program], upstream: Upstream, tmp_path: Path) -> AsyncIterator[Program]:
    """The program in front of one server."""
    async with program(tmp_path, [upstream.port]) as running:
        yield running


@pytest.fixture
async def pair(
    program: type[Program], upstream: Upstream, second: Upstream, tmp_path: Path
) -> AsyncIterator[Program]:
    """The program in front of two servers."""
    async with program(tmp_path, [upstream.port, second.port]) as running:
        yield running
