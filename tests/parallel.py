"""How `pytest -n 4`, and so `./kit test`, divides the tests among processes.

A file's tests run in one process, one after the other, so that they share what its fixtures start. Tests
that share more than a file does, such as containers, are one unit as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from stack.ports import AUTO_RANGE

__all__ = ["order", "port_range", "scheduling", "unit"]

# The units that take longest, in the order in which they begin: name -> where their tests are. Whatever is
# not in here is a unit for each file, and comes afterwards. An entry too few costs time, and nothing else.
FIRST: dict[str, Sequence[str]] = {
    "images": ("tests/compose/test_project.py", "tests/compose/test_dockerfile.py"),
    "containers": ("tests/compose/",),
    "environments": ("tests/stack/test_bootstrap.py",),
    "commands": ("tests/stack/test_commands.py",),
    "matrix": ("tests/matrix/",),
    "reloads": ("tests/faults/test_reload.py",),
    "contract": ("tests/contract/",),
    "pages": ("tests/examples/test_sse.py", "tests/examples/test_websocket.py"),
    "peers": ("tests/loadtest/peers/",),
    "hangs": ("tests/faults/test_hangs.py",),
}


def unit(nodeid: str) -> str:
    """Return the name of the unit that a test belongs to."""
    path = nodeid.partition("::")[0]
    return next((name for name, places in FIRST.items() if path.startswith(tuple(places))), path)


def order(items: list[pytest.Item]) -> None:
    """Sort tests: units that take long come first; otherwise they stay as they are."""
    ranks = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(unit(item.nodeid), len(ranks)))


def scheduling(config: pytest.Config, log: Any) -> Any:
    """Return what hands whole units to the processes, in the order of the tests."""
    from xdist.scheduler import LoadScopeScheduling  # who runs the tests in one process need not have it

    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = unit
    return scheduler


def port_range(worker: str, workers: int) -> str:
    """Return the part of the ports that a process, "gw0" or a later one, may choose from, as LOW-HIGH."""
    size = len(AUTO_RANGE) // workers
    low = AUTO_RANGE.start + int(worker.removeprefix("gw")) % workers * size
    return f"{low}-{low + size - 1}"
