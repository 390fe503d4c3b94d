"""Every request of the contract is answered alike, by every way and interface; no web server in between."""

from __future__ import annotations

import pytest

from tests.contract.applications import INTERFACES
from tests.contract.check import Contract
from tests.contract.isolated import IsolatedApplication
from tests.contract.page import DIRECT


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("way", DIRECT)
def test_the_answers_are_the_same(contract: Contract, way: str, interface: str) -> None:
    contract.check(way, contract.serving.ways()[way], interface)


def test_what_is_isolated_has_processes(contract: Contract) -> None:
    application = contract.serving.application("isolated")
    assert isinstance(application, IsolatedApplication)
    assert application.pool is not None
    assert application.pool.size >= 2
    assert application.pool.crashed == application.pool.killed == 0
