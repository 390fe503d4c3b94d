"""A short run of the fuzz targets, always the same one; and the same properties over generated inputs."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import connection, http1, websocket
from tests.fuzz.mutate import FRAMES, HTTP, Mutator
from tests.fuzz.run import SMALL_BYTES, fuzz, main
from tests.wire.autobahn.peer import Frame
from tests.wire.connection import connect
from tests.wire.corpus import corpus


@pytest.mark.parametrize(
    ("target", "rounds", "least_answers"), [("http1", 4000, 100), ("websocket", 4000, 50)]
)
def test_a_short_run_finds_nothing(target: str, rounds: int, least_answers: int) -> None:
    done, answers = fuzz(target, seed=4, rounds=rounds)
    assert done == rounds
    assert answers >= least_answers


def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["http1", "--seconds", "0.1", "--seed", "1"]) == 0
    assert "nothing found" in capsys.readouterr().out


def test_what_is_found_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes, cut: int) -> None:
        raise AssertionError("something does not hold")

    monkeypatch.setattr(http1, "check", broken)
    with pytest.raises(AssertionError) as caught:
        fuzz("http1", seed=1, rounds=1)
    assert caught.value.__notes__[0].startswith("input: b")


def test_a_short_run_over_connections_finds_nothing() -> None:
    mutator = Mutator([case.data for case in corpus() if len(case.data) <= SMALL_BYTES], HTTP, seed=4)
    seen: set[tuple[int, ...]] = set()
    with connect() as wire:
        for _ in range(1500):
            data = mutator.draw()
            statuses = connection.check(wire, data, mutator.chance.randint(0, len(data)))
            if statuses not in seen:
                seen.add(statuses)
                mutator.keep(data)
    assert {(200,), (400,), (200, 200), (200, 400), (505,), (501,)} <= seen


cases = st.sampled_from([case.data for case in corpus() if len(case.data) < 400])
words = st.lists(st.sampled_from(HTTP), max_size=12).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(cases, words, st.tuples(cases, words, cases).map(b"".join)), st.integers(0, 500))
def test_requests(data: bytes, cut: int) -> None:
    http1.check(data, cut)


payloads = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(str.encode),
    st.sampled_from([b"", b"x" * 125, b"x" * 126, b"x" * 1999, b"x" * 2001, b"\x03\xe8bye", b"\x03\xed"]),
)
frames = st.builds(
    Frame,
    st.sampled_from([0, 0, 1, 1, 2, 2, 8, 9, 10, 3]),
    payloads,
    fin=st.sampled_from([True, True, True, False]),
    rsv=st.sampled_from([0] * 12 + [2, 4]),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.one_of(frames.map(lambda frame: frame.render(b"mask")), st.sampled_from(FRAMES)), max_size=8),
    st.integers(0, 3000),
)
def test_frames(parts: list[bytes], cut: int) -> None:
    data = b"".join(parts)
    websocket.check(data, cut)
    websocket.check(data, cut, compressed=True)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.integers(1, 50), st.integers(0, 400))
def test_compressed_messages_come_out_as_they_went_in(messages: list[bytes], size: int, cut: int) -> None:
    compressor = zlib.compressobj(wbits=-15)
    data = b""
    for message in messages:
        packed = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        parts = [packed[at : at + size] for at in range(0, len(packed), size)] or [b""]
        for at, part in enumerate(parts):
            fin = at == len(parts) - 1
            data += Frame(0 if at else 2, part, fin=fin, rsv=0 if at else 4).render()
    events = websocket.check(data, cut, compressed=True)
    assert [websocket._plain(event) for event in events] == messages
