"""Every case of the corpus through a whole connection: one answer a request, in order, then one refusal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire.connection import Recorder, Wire, answers, connect
from tests.wire.corpus import Case, corpus
from tests.wire.loops import best_loop
from tests.wire.serving import exchange, serving

CASES = corpus()


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with connect() as wire:
        yield wire


def check(case: Case, wire: Wire, pieces: list[bytes]) -> None:
    """Send the pieces and hold the answers, and what the application noted, to what the case asks for."""
    data, noted = wire.send(pieces)
    found = answers(data, [request.method for request in case.requests])
    assert [answer.status for answer in found] == case.statuses, data
    for answer, request in zip(found, case.requests, strict=False):
        assert request.keep_alive or answer.headers["connection"] == "close"
    if case.status:
        assert found[-1].headers["connection"] == "close"
        assert found[-1].headers["content-type"] == "application/problem+json"
    expected = [request for request in case.requests if request.response in {101, 200}]
    assert len(noted) == len(expected), noted  # nothing behind a refusal or a close was carried out
    for seen, request in zip(noted, expected, strict=True):
        assert (seen.method, seen.version) == (request.method, request.version)
        assert seen.target == request.target or len(seen.target) == request.target_bytes
        assert request.headers is None or seen.headers == request.headers
        assert seen.body == request.body or len(seen.body) == request.body_bytes
        assert seen.trailers == request.trailers or len(seen.trailers) == request.trailers_count


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_at_once(case: Case, wire: Wire) -> None:
    check(case, wire, [case.data])


@pytest.mark.parametrize(
    "case", [case for case in CASES if len(case.data) < 1000], ids=lambda case: case.name
)
def test_byte_by_byte(case: Case, wire: Wire) -> None:
    check(case, wire, [case.data[at : at + 1] for at in range(len(case.data))])


def test_over_a_real_socket() -> None:
    """The refusal arrives, and no reset before it, whatever the client was still sending."""
    app = Recorder()
    wrong: dict[str, list[int]] = {}
    with serving(app, best_loop, http2="off") as running:
        for case in CASES:
            app.noted.clear()
            found = answers(exchange(running, case.data), [request.method for request in case.requests])
            statuses = [answer.status for answer in found]
            whole = [request for request in case.requests if request.response in {101, 200}]
            if statuses != case.statuses or len(app.noted) != len(whole):
                wrong[case.name] = statuses
    assert wrong == {}
