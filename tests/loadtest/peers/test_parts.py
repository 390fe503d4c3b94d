"""What a request costs, part by part: measured by the objects that serve."""

from __future__ import annotations

import sys

import pytest

from loadtest.peers import parts
from loadtest.peers.catalogue import PeerError


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="can be measured with this Python")
def test_an_old_python_is_told_so() -> None:
    with pytest.raises(PeerError, match=r"Python 3\.12"):
        parts.table()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before Python 3.12 nothing is answered at once")
def test_every_part_costs_something_and_all_of_them_are_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "TIMES", 2)
    monkeypatch.setattr(parts, "TRIES", 2)
    title, _, *lines = parts.table().splitlines()
    assert title.startswith("| µs of each request, Python ")
    rows = {
        cells[1].strip(): [float(cell) for cell in cells[2:4]]
        for cells in (line.split("|") for line in lines)
    }
    for kind in (0, 1):
        whole = rows["all"][kind]
        assert sum(row[kind] for row in rows.values()) - whole == pytest.approx(whole, abs=0.1)
        assert whole > rows["codec: head checked and read, response rendered"][kind] > 0
