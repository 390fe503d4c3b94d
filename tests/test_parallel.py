"""How tests are divided among processes."""

from __future__ import annotations

from pathlib import Path

from stack.ports import AUTO_RANGE
from tests import parallel

ROOT = Path(__file__).parents[1]


def test_a_file_is_a_unit_and_so_are_those_that_share_something() -> None:
    assert parallel.unit("tests/app/test_hooks.py::test_one[a::b]") == "tests/app/test_hooks.py"
    assert parallel.unit("tests/compose/test_stack.py::test_one") == "containers"
    assert parallel.unit("tests/compose/test_project.py::TestIt::test_one[x]") == "images"


def test_each_place_that_is_named_is_there() -> None:
    for places in parallel.FIRST.values():
        for place in places:
            assert (ROOT / place).exists(), f"{place} is no more; tests/parallel.py names it"


def test_what_takes_long_comes_first_and_the_rest_stays_in_order() -> None:
    class Item:
        def __init__(self, nodeid: str) -> None:
            self.nodeid = nodeid

    names = ["tests/app/x.py::b", "tests/app/x.py::a", "tests/matrix/y.py::z", "tests/compose/x.py::c"]
    items = [Item(name) for name in names]
    parallel.order(items)  # type: ignore[arg-type] # it asks for no more than a nodeid
    assert [item.nodeid for item in items] == [names[3], names[2], names[0], names[1]]


def test_no_two_processes_choose_the_same_ports() -> None:
    ranges = [range(*map(int, parallel.port_range(f"gw{n}", 3).split("-"))) for n in range(4)]
    assert ranges[3] == ranges[0], "a process that takes the place of another one"
    assert not set(ranges[0]) & set(ranges[1])
    assert not set(ranges[1]) & set(ranges[2])
    assert {port for one in ranges for port in one} <= set(AUTO_RANGE)
