"""PROXY headers of both versions: what they say, where they end, and what is none."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols.proxy import ProxyError, ProxyHeader, ProxyReader
from pierhead.protocols.proxy.header import crc32c

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
TCP4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 50123 443\r\n"
SAID = ProxyHeader(("192.0.2.7", 50123), ("198.51.100.1", 443))


def binary(content: bytes, *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(content)) + content


def addresses(source: str = "192.0.2.7", destination: str = "198.51.100.1") -> bytes:
    packed = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return packed + struct.pack(">HH", 50123, 443)


def addition(kind: int, value: bytes) -> bytes:
    return struct.pack(">BH", kind, len(value)) + value


def read(data: bytes) -> ProxyHeader | None:
    """Read a header; it must be complete with the last byte, and not before."""
    reader = ProxyReader()
    assert reader.feed(data[:-1]) == len(data) - 1
    assert reader.header is None
    assert reader.feed(data[-1:]) == 1
    return reader.header


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (TCP4, SAID),
        (b"PROXY TCP6 2001:DB8::1 ::1 1 65535\r\n", ProxyHeader(("2001:db8::1", 1), ("::1", 65535))),
        (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", ProxyHeader(("0.0.0.0", 0), ("0.0.0.0", 0))),
        (b"PROXY UNKNOWN\r\n", ProxyHeader()),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", ProxyHeader()),
        (binary(addresses()), SAID),
        (
            binary(addresses("2001:db8::1", "::1"), family=0x21),
            ProxyHeader(("2001:db8::1", 50123), ("::1", 443)),
        ),
        (binary(bytes(216), family=0x31), ProxyHeader(("unix:", None), ("unix:", None))),
        (binary(b"", family=0), ProxyHeader()),
        (binary(b"whatever", command=0x20), ProxyHeader()),
        (binary(addresses() + addition(0x04, b"\0\0")), SAID),
        (binary(addresses() + addition(0x20, b"\x01\0\0\0\0")), SAID._replace(secure=True)),
        (binary(addresses() + addition(0x20, b"\x00\0\0\0\0")), SAID),
    ],
)
def test_a_header(data: bytes, header: ProxyHeader) -> None:
    assert read(data) == header


@pytest.mark.parametrize("data", [TCP4, binary(addresses())])
def test_what_follows_the_header_is_not_taken(data: bytes) -> None:
    reader = ProxyReader()
    assert reader.feed(data + b"GET / HTTP/1.1\r\n") == len(data)
    assert reader.header == SAID
    assert reader.feed(b"Host: x\r\n") == 0


@given(st.sampled_from([TCP4, binary(addresses())]), st.lists(st.integers(0, 50), max_size=5))
def test_a_header_comes_in_any_pieces(data: bytes, cuts: list[int]) -> None:
    reader = ProxyReader()
    data += b"and more"
    used = 0
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        used += reader.feed(data[start:end])
    assert reader.header == SAID
    assert used == len(data) - len(b"and more")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"G", "does not begin with"),
        (b"\x16\x03\x01", "does not begin with"),
        (b"PROXy", "does not begin with"),
        (b"\r\n\r\n\r", "does not begin with"),
        (b"PROXY \n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n", "malformed"),
        (b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", "malformed"),
        (b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n", "malformed"),
        (b"PROXY UNKNOWN \x00\r\n", "malformed"),
        (b"PROXY TCP4 192.0.2.777 198.51.100.1 1 2\r\n", "is none"),
        (b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n", "is none"),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", "not of its family"),
        (b"PROXY TCP6 192.0.2.7 ::1 1 2\r\n", "not of its family"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n", "more than 65535"),
        (b"PROXY UNKNOWN " + b"a" * 93, "more than 107"),
        (binary(addresses(), command=0x22), "0x22 is not understood"),
        (binary(addresses(), command=0x11), "0x11 is not understood"),
        (binary(addresses(), family=0x12), "0x12 is not of a stream"),
        (binary(addresses()[:-1]), "too short for its addresses"),
        (binary(addresses() + b"\x04\x00"), "ends inside an addition"),
        (binary(addresses() + b"\x04\x00\x02x"), "longer than that"),
        (binary(addresses() + addition(0x03, b"\0\0\0\0")), "checksum"),
        (binary(addresses() + addition(0x03, b"\0\0\0")), "checksum"),
        (binary(addresses() + addition(0x20, b"\x01")), "about TLS is too short"),
        (SIGNATURE + b"\x21\x11\xff\xff", "more than 4096"),
    ],
)
def test_what_is_no_header(data: bytes, reason: str) -> None:
    with pytest.raises(ProxyError, match=reason):
        ProxyReader().feed(data)


def test_a_checksum_is_verified() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    blank = binary(addresses() + addition(0x03, bytes(4)))
    checked = blank[:-4] + struct.pack(">I", crc32c(blank))
    assert read(checked) == SAID


@given(st.binary(max_size=80))
def test_any_bytes_are_a_header_or_refused(data: bytes) -> None:
    reader = ProxyReader()
    try:
        assert 0 <= reader.feed(b"\r\n\r\n\x00\r\nQUIT\n" + data) <= 12 + len(data)
    except ProxyError:
        assert reader.header is None
