"""What a request costs, part by part: measured by the objects that serve."""

from __future__ import annotations

import sys

import pytest

from loadtest.peers import parts
from loadtest.peers.catalogue import PeerError

AT_ONCE = sys.version_info >= (3, 12)  # before, nothing is answered at once


def test_every_part_costs_something_and_all_of_them_are_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "TIMES", 2)
    monkeypatch.setattr(parts, "TRIES", 2)
    if not AT_ONCE:
        with pytest.raises(PeerError, match=r"Python 3\.12"):
            parts.table()
        return
    title, _, *lines = parts.table().splitlines()
    assert title.startswith("| µs of each request, Python ")
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    rows = {name: [float(minimal), float(realistic)] for _, name, minimal, realistic, _ in cells}
    for kind in (0, 1):
        whole = rows["all"][kind]
        assert sum(row[kind] for row in rows.values()) - whole == pytest.approx(whole, abs=0.1)
        assert whole > rows["codec: head checked and read, response rendered"][kind] > 0
