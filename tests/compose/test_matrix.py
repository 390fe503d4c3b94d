"""The checks of the matrix, against containers: the same outcomes as on the local stack."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from stack.matrix.check import Cell
from stack.matrix.checks import CHECKS
from stack.matrix.runner import run_checks
from stack.matrix.target import Target
from tests.compose.compose import PROXIES, Compose

pytestmark = [pytest.mark.docker, pytest.mark.slow]

REPLICAS = 2
OVERRIDE = ("-f", "docker-compose.yml", "-f", "tests/compose/probe.yml")


@pytest.fixture(scope="module")
def probing(compose: Compose) -> Iterator[Compose]:
    """The stack with the probing application; the examples come back afterwards."""
    compose(*OVERRIDE, "up", "--wait", "--no-deps", "app")
    yield compose
    compose("up", "--wait", "--no-deps", "app")


def target(compose: Compose, proxy: str) -> Target:
    """Return a proxy as the matrix knows it."""
    networks = compose.inspect(proxy)[0]["NetworkSettings"]["Networks"].values()
    gateways = frozenset(str(network["Gateway"]) for network in networks)
    return Target(proxy, compose.ports[proxy], REPLICAS, clients=gateways)


async def test_every_cell_is_right_or_differs_as_documented(probing: Compose) -> None:
    targets = [target(probing, proxy) for proxy in PROXIES]
    ready = CHECKS["spread"]
    async with asyncio.timeout(60):  # the proxies have noticed that the replicas are others
        for one in targets:
            while await attempt(one) != ready.expect:  # noqa: ASYNC110 - it is theirs to say when
                await asyncio.sleep(0.2)
    told: list[Cell] = []
    await asyncio.gather(*(run_checks(one, list(CHECKS.values()), told.append) for one in targets))
    assert len(told) == len(PROXIES) * sum(not check.local for check in CHECKS.values())
    failed = [
        f"{cell.target} {cell.check}: {cell.outcome} ({cell.reason})"
        for cell in told
        if cell.verdict == "fail"
    ]
    assert not failed, "\n".join(failed)


async def attempt(one: Target) -> str:
    try:
        return await CHECKS["spread"].run(one)
    except (AssertionError, OSError) as error:
        return str(error)
