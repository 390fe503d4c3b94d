"""One server and its references for all tests of the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.check import Contract
from tests.contract.ways import Serving


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contract]:
    """Serve the application in every way."""
    serving = Serving(tmp_path_factory.mktemp("contract"))
    yield Contract(serving)
    serving.close()
