"""Every request of the contract is answered alike, by every way and interface; no web server in between."""

from __future__ import annotations

import pytest

from tests.contract.applications import INTERFACES
from tests.contract.check import Contract
from tests.contract.page import DIRECT


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("way", DIRECT)
def test_the_answers_are_the_same(contract: Contract, way: str, interface: str) -> None:
    contract.check(way, contract.serving.ways()[way], interface)
