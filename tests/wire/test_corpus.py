"""Every case of the corpus, by the codec: the invalid is refused, the valid is seen as it was sent."""

from __future__ import annotations

import pytest

from tests.wire.corpus import Case, corpus
from tests.wire.reading import read, same

CASES = corpus()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    reading = read([case.data], switching=case.switching)
    assert len(reading.requests) == len(case.requests), reading
    for seen, expected in zip(reading.requests, case.requests, strict=True):
        assert same(seen, expected), (seen, expected)
    assert (reading.refused[0] if reading.refused else None) == case.status, reading.refused
    if case.status:
        assert reading.at_end is case.end
