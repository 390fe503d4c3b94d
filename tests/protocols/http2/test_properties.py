"""Whatever frames come, and however they are split: the codec fails in no other way than it says."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pierhead.protocols.http1 import Data, End, Http1Limits, RequestHead
from pierhead.protocols.http2 import Began, Failed, Http2Codec, Http2Event, Quiet, Reset, StreamEvent
from tests.http2peer import Peer, header_block

SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
LIMITS = Http1Limits(max_line_bytes=1000, max_head_bytes=2000, max_headers=10, max_body_bytes=5000)
MOST_STREAMS = 3
BLOCK = header_block(Peer())


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload


stream_ids = st.sampled_from([1, 1, 3, 3, 5, 7, 9, 0, 2])
payloads = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [BLOCK, b"", b"a" * 3000, b"12345678", b"pierhead", bytes(4), b"\0\0\0\1", b"\x7f\xff\xff\xff"]
    ),
)
anything = st.builds(frame, st.integers(0, 11), st.sampled_from([0, 1, 4, 5, 8, 37]), stream_ids, payloads)
requests = st.builds(
    frame, st.just(1), st.sampled_from([4, 5]), st.sampled_from([1, 3, 5, 7, 9]), st.just(BLOCK)
)
bodies = st.builds(frame, st.just(0), st.sampled_from([0, 1]), stream_ids, st.sampled_from([b"", b"a" * 100]))
updates = st.builds(frame, st.just(8), st.just(0), stream_ids, st.sampled_from([b"\0\0\0\1", b"\0\0\1\0"]))


def answer(codec: Http2Codec, event: Http2Event) -> None:
    """Do what may be done with a stream at any time."""
    if isinstance(event, Began):
        stream = event.stream
        if stream.id % 4 == 1:
            stream.respond(200, [(b"X", b"y")], b"x" * 100_000)
        else:
            stream.start_response(200, [])
            stream.data(b"x")
        codec.commit(stream)
        codec.consumed(stream, 40_000)
        if stream.id == 7:
            codec.reset(stream)
        elif stream.id == 3:
            stream.end([(b"x", b"y")])
            codec.commit(stream)


def told(event: Http2Event) -> object:
    """Return what an event says, without its stream."""
    if isinstance(event, Began):
        head = event.head
        return event.stream.id, (head.method, head.target, head.section) if isinstance(
            head, RequestHead
        ) else head
    return event


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(requests, bodies, updates, anything), max_size=20),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_any_frames_in_any_pieces(frames: list[bytes], sizes: list[int]) -> None:
    data = SETTINGS + b"".join(frames)
    codec = Http2Codec(LIMITS, max_streams=MOST_STREAMS)
    events: list[Http2Event] = []
    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        found = codec.feed(data[at : at + size])
        at += size
        for event in found:
            assert isinstance(event, Began | StreamEvent | Reset | Quiet | Failed)
            answer(codec, event)
        events += found
        codec.take_output(10_000)
        codec.tick()
        assert len(codec.streams) <= MOST_STREAMS
    assert sum(isinstance(event, Failed) for event in events) <= 1
    # A body is the stream's that began, and has one end.
    begun = {event.stream.id for event in events if isinstance(event, Began)}
    assert {event.stream_id for event in events if isinstance(event, StreamEvent)} <= begun
    ends = [
        event.stream_id for event in events if isinstance(event, StreamEvent) and isinstance(event.event, End)
    ]
    assert len(ends) == len(set(ends))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(requests, bodies), max_size=12), st.integers(1, 50))
def test_the_split_of_the_bytes_does_not_matter(frames: list[bytes], size: int) -> None:
    data = SETTINGS + b"".join(frames)
    whole = Http2Codec(LIMITS, max_streams=MOST_STREAMS).feed(data)
    codec = Http2Codec(LIMITS, max_streams=MOST_STREAMS)
    pieces = [event for at in range(0, len(data), size) for event in codec.feed(data[at : at + size])]
    assert list(map(told, pieces)) == list(map(told, whole))
    assert all(
        event.event.data
        for event in whole
        if isinstance(event, StreamEvent) and isinstance(event.event, Data)
    )
