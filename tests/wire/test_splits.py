"""The same answer wherever the bytes are split: every case at every place, and byte by byte."""

from __future__ import annotations

import random

import pytest

from tests.wire.corpus import Case, corpus
from tests.wire.reading import Reading, read

CASES = corpus()
SMALL_BYTES = 1000
SAMPLE = 20


def whole(case: Case) -> Reading:
    return read([case.data], switching=case.switching)


def places(case: Case) -> list[int]:
    """Every place of a small case; of a huge one its ends, those around its limits, and a sample."""
    size = len(case.data)
    if size <= SMALL_BYTES:
        return list(range(1, size))
    limits = [edge + offset for edge in (8192, 32768) for offset in range(-2, 3)]
    chosen = {
        *range(50, 90),
        *range(size - 20, size),
        *limits,
        *random.Random(4).choices(range(size), k=SAMPLE),
    }
    return sorted(place for place in chosen if 0 < place < size)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_in_two_pieces(case: Case) -> None:
    expected = whole(case)
    for place in places(case):
        reading = read([case.data[:place], case.data[place:]], switching=case.switching)
        assert reading == expected, place


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_in_many_pieces(case: Case) -> None:
    expected = whole(case)
    for size in (1, 2, 3, 7) if len(case.data) <= SMALL_BYTES else (997, 4096):
        pieces = [case.data[at : at + size] for at in range(0, len(case.data), size)]
        assert read(pieces, switching=case.switching) == expected, size


def test_in_three_pieces_around_every_line_end() -> None:
    """Places that a reader who looks for CRLF CRLF could get wrong: on both sides of each CR and LF."""
    for case in CASES:
        if len(case.data) > SMALL_BYTES:
            continue
        expected = whole(case)
        for place in [place for place, byte in enumerate(case.data) if byte in b"\r\n"]:
            pieces = [case.data[:place], case.data[place : place + 1], case.data[place + 1 :]]
            assert read(pieces, switching=case.switching) == expected, (case.name, place)
