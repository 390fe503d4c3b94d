"""Reading of a PROXY header, strictly: what it says is believed, so nothing in it may have two meanings.

    reader = ProxyReader()
    used = reader.feed(data)  # how many of the bytes belong to the header: all, until `header` is there

What follows the header is the connection's own and not touched, so that TLS can begin right after it.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import NamedTuple

__all__ = ["MAX_HEADER_BYTES", "ProxyError", "ProxyHeader", "ProxyReader"]

MAX_HEADER_BYTES = 4096
"""Of a header of version 2; one of version 1 has 107 at the most (2.1)."""

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = struct.Struct(">12sBBH")  # signature, version and command, family and protocol, length
_MAX_LINE_BYTES = 107
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [\x20-\x7e]*)?|(TCP[46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4})"
    rb" (0|[1-9][0-9]{0,4}))\r\n"
)
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESSES = {
    0x11: struct.Struct(">4s4sHH"),  # TCP over IPv4
    0x21: struct.Struct(">16s16sHH"),  # TCP over IPv6
    0x31: struct.Struct(">108s108s"),  # a unix stream socket
}
_UNSPECIFIED = 0x00
_TLV = struct.Struct(">BH")
_TYPE_CRC32C = 0x03
_TYPE_SSL = 0x20
_SSL = struct.Struct(">BI")  # client flags, verify
_CLIENT_SSL = 0x01

Endpoint = tuple[str, int | None]


class ProxyError(Exception):
    """The bytes are no PROXY header; the message is one line for the log."""


class ProxyHeader(NamedTuple):
    """What a header says; nothing (LOCAL, UNKNOWN) where the connection is the proxy's own."""

    client: Endpoint | None = None
    """Address and port; "unix:" and None for a unix socket."""
    server: Endpoint | None = None
    """What the client connected to."""
    secure: bool = False
    """Whether the client used TLS, where the header says so (version 2 only)."""


class ProxyReader:
    """Reads the header of one connection, however it is split."""

    def __init__(self) -> None:
        self.header: ProxyHeader | None = None
        """The header, once it is complete."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> int:
        """Take bytes of the header and return how many of `data` belong to it; raises ProxyError.

        It never takes more than the header: what is not counted is to be fed to somebody else.
        """
        if self.header is not None:
            return 0
        before = len(self._buffer)
        self._buffer += data
        size = self._size()
        if size is None:
            return len(data)
        head = bytes(self._buffer[:size])
        self._buffer.clear()
        self.header = _read_line(head) if head.startswith(b"P") else _read_binary(head)
        return size - before

    def _size(self) -> int | None:
        """Return how long the header is, None where it is not complete; raises ProxyError."""
        buffer = self._buffer
        if buffer.startswith(b"PROXY "[: len(buffer)]):
            end = buffer.find(b"\n", 0, _MAX_LINE_BYTES) + 1
            if not end and len(buffer) >= _MAX_LINE_BYTES:
                raise ProxyError(f"a PROXY header of version 1 has more than {_MAX_LINE_BYTES} bytes")
            return end or None
        if not buffer.startswith(_SIGNATURE[: len(buffer)]):
            raise ProxyError("the connection does not begin with a PROXY header")
        if len(buffer) < _FIXED.size:
            return None
        length = _FIXED.size + int(_FIXED.unpack_from(buffer)[3])
        if length > MAX_HEADER_BYTES:
            raise ProxyError(f"a PROXY header has more than {MAX_HEADER_BYTES} bytes")
        return length if len(buffer) >= length else None


def _read_line(line: bytes) -> ProxyHeader:
    """Read version 1 (2.1)."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise ProxyError("the PROXY header of version 1 is malformed")
    family, *texts = match.groups()
    if family is None:  # UNKNOWN: what follows the word is to be ignored
        return ProxyHeader()
    try:
        source, destination = [ipaddress.ip_address(text.decode()) for text in texts[:2]]
    except ValueError:
        raise ProxyError("an address in the PROXY header is none") from None
    version = int(family[3:])
    if (source.version, destination.version) != (version, version):
        raise ProxyError("an address in the PROXY header is not of its family")
    ports = [int(text) for text in texts[2:]]
    if max(ports) > 65535:
        raise ProxyError("a port in the PROXY header is more than 65535")
    return ProxyHeader((str(source), ports[0]), (str(destination), ports[1]))


def _read_binary(head: bytes) -> ProxyHeader:
    """Read version 2 (2.2)."""
    _, command, family, _ = _FIXED.unpack_from(head)
    if command == _LOCAL:
        return ProxyHeader()
    if command != _PROXY:
        raise ProxyError(f"a PROXY header of version and command {command:#04x} is not understood")
    if family == _UNSPECIFIED:
        return ProxyHeader()
    addresses = _ADDRESSES.get(family)
    if addresses is None:
        raise ProxyError(f"a PROXY header of family and protocol {family:#04x} is not of a stream")
    if len(head) < _FIXED.size + addresses.size:
        raise ProxyError("the PROXY header is too short for its addresses")
    secure = _read_additions(head, _FIXED.size + addresses.size)
    fields = addresses.unpack_from(head, _FIXED.size)
    if len(fields) == 2:
        return ProxyHeader(("unix:", None), ("unix:", None), secure)
    source, destination, source_port, destination_port = fields
    return ProxyHeader(
        (str(ipaddress.ip_address(source)), source_port),
        (str(ipaddress.ip_address(destination)), destination_port),
        secure,
    )


def _read_additions(head: bytes, at: int) -> bool:
    """Check what follows the addresses (2.2.1) and return whether the client used TLS."""
    secure = False
    while at < len(head):
        if len(head) - at < _TLV.size:
            raise ProxyError("the PROXY header ends inside an addition")
        kind, length = _TLV.unpack_from(head, at)
        at += _TLV.size
        value = head[at : at + length]
        if len(value) < length:
            raise ProxyError("an addition to the PROXY header is longer than that")
        if kind == _TYPE_CRC32C:
            blank = head[:at] + bytes(length) + head[at + length :]
            if length != 4 or int.from_bytes(value, "big") != crc32c(blank):
                raise ProxyError("the checksum of the PROXY header is wrong")
        elif kind == _TYPE_SSL:
            if length < _SSL.size:
                raise ProxyError("what the PROXY header says about TLS is too short")
            secure = bool(value[0] & _CLIENT_SSL)
        at += length
    return secure


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum (RFC 4960, appendix B), which `zlib` does not have."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = (checksum >> 1) ^ (0x82F63B78 if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF
