"""FastCGI's record layer: cutting, padding, name-value pairs, and what is no FastCGI."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols.fastcgi import (
    BeginRequest,
    EndRequest,
    FastCGIError,
    ProtocolStatus,
    Record,
    RecordReader,
    RecordType,
    Role,
    decode_pairs,
    encode_pairs,
    render,
    render_stream,
)

PAIRS = st.lists(st.tuples(st.binary(max_size=200), st.binary(max_size=300)), max_size=5)


def test_a_record_is_as_the_specification_draws_it() -> None:
    assert render(RecordType.STDOUT, 1, b"hi") == b"\x01\x06\x00\x01\x00\x02\x00\x00hi"
    assert render(RecordType.STDIN, 258) == b"\x01\x05\x01\x02\x00\x00\x00\x00"


def test_records_come_in_any_pieces() -> None:
    data = render(RecordType.PARAMS, 1, b"abc") + render(RecordType.STDIN, 1)
    reader = RecordReader()
    records = [record for byte in data for record in reader.feed(bytes((byte,)))]
    assert records == [Record(RecordType.PARAMS, 1, b"abc"), Record(RecordType.STDIN, 1, b"")]
    assert reader.buffered_bytes == 0
    assert reader.feed(data + b"\x01\x05") == records
    assert reader.buffered_bytes == 2


def test_padding_is_dropped_whatever_it_holds() -> None:
    padded = b"\x01\x05\x00\x01\x00\x02\x06\xffhi" + b"\x01garba"
    assert RecordReader().feed(padded + render(RecordType.STDIN, 1)) == [
        Record(RecordType.STDIN, 1, b"hi"),
        Record(RecordType.STDIN, 1, b""),
    ]


def test_a_record_waits_for_its_padding() -> None:
    reader = RecordReader()
    assert reader.feed(b"\x01\x05\x00\x01\x00\x01\x02\x00x\x00") == []
    assert reader.feed(b"\x00") == [Record(RecordType.STDIN, 1, b"x")]


@pytest.mark.parametrize("data", [b"\x00", b"\x02\x05\x00\x01", b"GET / HTTP/1.1\r\n"])
def test_another_version_is_refused_by_its_first_byte(data: bytes) -> None:
    with pytest.raises(FastCGIError, match="version"):
        RecordReader().feed(data)


def test_records_before_what_is_none_are_read() -> None:
    reader = RecordReader()
    assert reader.feed(render(RecordType.STDIN, 1, b"x") + b"nonsense") == [Record(RecordType.STDIN, 1, b"x")]
    with pytest.raises(FastCGIError, match="version"):
        reader.feed(b"")


def test_a_type_that_is_none_is_left_to_the_reader_of_records() -> None:
    assert RecordReader().feed(b"\x01\x63\x00\x00\x00\x00\x00\x00") == [Record(99, 0, b"")]


def test_a_stream_is_cut_into_records_as_long_as_they_may_be() -> None:
    data = bytes(range(256)) * 600
    records = RecordReader().feed(render_stream(RecordType.STDOUT, 7, data))
    assert [len(record.content) for record in records] == [65535, 65535, 22530]
    assert b"".join(record.content for record in records) == data


def test_no_data_is_no_record_because_an_empty_one_would_end_the_stream() -> None:
    assert render_stream(RecordType.STDOUT, 1, b"") == b""


def test_a_record_cannot_be_longer_than_its_length_says() -> None:
    assert len(render(RecordType.STDOUT, 1, bytes(65535))) == 65543
    with pytest.raises(struct.error):
        render(RecordType.STDOUT, 1, bytes(65536))


def test_pairs_have_short_and_long_lengths() -> None:
    encoded = encode_pairs([(b"NAME", b"v"), (b"n", b"x" * 128)])
    assert encoded == b"\x04\x01NAMEv" + b"\x01\x80\x00\x00\x80n" + b"x" * 128
    assert decode_pairs(encoded) == [(b"NAME", b"v"), (b"n", b"x" * 128)]


def test_a_short_length_may_be_written_long() -> None:
    assert decode_pairs(b"\x80\x00\x00\x01\x80\x00\x00\x00a") == [(b"a", b"")]


@given(PAIRS)
def test_pairs_are_read_as_they_were_written(pairs: list[tuple[bytes, bytes]]) -> None:
    assert decode_pairs(encode_pairs(pairs)) == pairs


@given(st.binary(max_size=60))
def test_any_bytes_are_pairs_or_refused(data: bytes) -> None:
    try:
        pairs = decode_pairs(data)
    except FastCGIError:
        return
    assert sum(len(name) + len(value) for name, value in pairs) <= len(data)


@pytest.mark.parametrize("data", [b"\x01", b"\x01\x80", b"\x80\x00\x00", b"\x01\x80\x00\x00"])
def test_pairs_that_end_inside_of_a_length_are_refused(data: bytes) -> None:
    with pytest.raises(FastCGIError, match="inside of a length"):
        decode_pairs(data)


@pytest.mark.parametrize("data", [b"\x02\x00a", b"\x01\x02ab", b"\xff\xff\xff\xff\xff\xff\xff\xff"])
def test_pairs_longer_than_what_holds_them_are_refused(data: bytes) -> None:
    with pytest.raises(FastCGIError, match="longer than what holds it"):
        decode_pairs(data)


def test_the_beginning_of_a_request() -> None:
    begin = BeginRequest(Role.RESPONDER, keep_connection=True)
    assert begin.encode() == b"\x00\x01\x01\x00\x00\x00\x00\x00"
    assert BeginRequest.decode(begin.encode()) == begin
    assert BeginRequest.decode(b"\x00\x09\xfe\x00\x00\x00\x00\x00") == BeginRequest(9, keep_connection=False)
    with pytest.raises(FastCGIError, match="7 bytes instead of 8"):
        BeginRequest.decode(bytes(7))


def test_the_end_of_a_request() -> None:
    end = EndRequest(ProtocolStatus.OVERLOADED, app_status=3)
    assert end.encode() == b"\x00\x00\x00\x03\x02\x00\x00\x00"
    assert EndRequest.decode(end.encode()) == end
    assert EndRequest() == EndRequest(ProtocolStatus.REQUEST_COMPLETE, 0)
    with pytest.raises(FastCGIError, match="9 bytes instead of 8"):
        EndRequest.decode(bytes(9))
