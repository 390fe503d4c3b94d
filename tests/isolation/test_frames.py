"""Frames: whatever the pieces they come in, they come out as they went in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.isolation.frames import Frame, FrameReader, Kind, encode

FACTS = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9) | st.none(), max_size=3)
FRAMES = st.lists(st.tuples(st.sampled_from(Kind), FACTS, st.binary(max_size=50)), max_size=5)


@given(FRAMES, st.integers(1, 30))
def test_frames_in_pieces_are_the_same_frames(
    frames: list[tuple[Kind, dict[str, object], bytes]], size: int
) -> None:
    sent = b"".join(encode(*frame) for frame in frames)
    reader = FrameReader()
    received = [
        frame for begin in range(0, len(sent), size) for frame in reader.feed(sent[begin : begin + size])
    ]
    assert received == [Frame(*frame) for frame in frames]


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="99"):
        FrameReader().feed(bytes([99]) + bytes(8))


def test_a_frame_that_is_announced_as_too_long_is_refused_before_it_came() -> None:
    reader = FrameReader(1000)
    assert reader.feed(encode(Kind.PIECE, data=bytes(1000)))
    with pytest.raises(ValueError, match="at most 1000 are read"):
        reader.feed(encode(Kind.PIECE, data=bytes(1001))[:9])
