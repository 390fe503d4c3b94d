"""FastCGI records (FastCGI 1.0 specification, 3 and 5): bytes to records and back, for either side.

    reader = RecordReader()
    for record in reader.feed(data): ...
    out = render(RecordType.BEGIN_REQUEST, 1, BeginRequest(Role.RESPONDER, keep_connection=True).encode())
    out += render_stream(RecordType.PARAMS, 1, encode_pairs(variables)) + render(RecordType.PARAMS, 1)

What a record means is left to who reads it: an application (`codec`) or a web server.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable
from typing import NamedTuple, Self

__all__ = [
    "HEADER_BYTES",
    "MANAGEMENT_ID",
    "MAX_CONTENT_BYTES",
    "BeginRequest",
    "EndRequest",
    "FastCGIError",
    "ProtocolStatus",
    "Record",
    "RecordReader",
    "RecordType",
    "Role",
    "decode_pairs",
    "encode_pairs",
    "render",
    "render_stream",
]

MAX_CONTENT_BYTES = 0xFFFF
"""Of one record."""
MANAGEMENT_ID = 0
"""The request id of records that belong to no request (3.3)."""

_VERSION = 1
_HEADER = struct.Struct(">BBHHBx")  # version, type, request id, content length, padding length
HEADER_BYTES = _HEADER.size
"""Of each record, before its content."""
_BEGIN = struct.Struct(">HB5x")  # role, flags
_END = struct.Struct(">IB3x")  # application status, protocol status
_KEEP_CONNECTION = 1
_LONG_LENGTH = 0x80000000
_SHORT_LENGTH_BELOW = 0x80


class FastCGIError(Exception):
    """The bytes are no FastCGI; the message is one line for the log."""


class RecordType(enum.IntEnum):
    """What a record is (8)."""

    BEGIN_REQUEST = 1
    ABORT_REQUEST = 2
    END_REQUEST = 3
    PARAMS = 4
    STDIN = 5
    STDOUT = 6
    STDERR = 7
    DATA = 8
    GET_VALUES = 9
    GET_VALUES_RESULT = 10
    UNKNOWN_TYPE = 11


class Role(enum.IntEnum):
    """What a web server wants of an application (6)."""

    RESPONDER = 1
    AUTHORIZER = 2
    FILTER = 3


class ProtocolStatus(enum.IntEnum):
    """How a request ended for the protocol (5.5)."""

    REQUEST_COMPLETE = 0
    CANT_MPX_CONN = 1
    OVERLOADED = 2
    UNKNOWN_ROLE = 3


class Record(NamedTuple):
    """One record, without its padding."""

    type: int
    """A RecordType, or a number that is none."""
    request_id: int
    content: bytes


class BeginRequest(NamedTuple):
    """The content of BEGIN_REQUEST (5.1)."""

    role: int
    """A Role, or a number that is none."""
    keep_connection: bool

    def encode(self) -> bytes:
        """Return the content."""
        return _BEGIN.pack(self.role, _KEEP_CONNECTION if self.keep_connection else 0)

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Read the content; raises FastCGIError. Flags that are not defined are ignored, as 5.1 asks."""
        if len(content) != _BEGIN.size:
            raise FastCGIError(f"BEGIN_REQUEST has {len(content)} bytes instead of {_BEGIN.size}")
        role, flags = _BEGIN.unpack(content)
        return cls(role, bool(flags & _KEEP_CONNECTION))


class EndRequest(NamedTuple):
    """The content of END_REQUEST (5.5)."""

    protocol_status: int = ProtocolStatus.REQUEST_COMPLETE
    """A ProtocolStatus, or a number that is none."""
    app_status: int = 0
    """As the exit code of a CGI program."""

    def encode(self) -> bytes:
        """Return the content."""
        return _END.pack(self.app_status, self.protocol_status)

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Read the content; raises FastCGIError."""
        if len(content) != _END.size:
            raise FastCGIError(f"END_REQUEST has {len(content)} bytes instead of {_END.size}")
        app_status, protocol_status = _END.unpack(content)
        return cls(protocol_status, app_status)


class RecordReader:
    """Cuts bytes into records, however they are split. It keeps one incomplete record at the most."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        """How many bytes of an incomplete record are kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Record]:
        """Return the records that `data` completes; raises FastCGIError for another version than 1.

        Records before the fault are returned first, and the next call raises. After that there is no way to
        find the next record: the connection cannot be read on.
        """
        self._buffer += data
        buffer, start = self._buffer, 0
        records: list[Record] = []
        while buffer[start : start + 1]:
            if buffer[start] != _VERSION:
                if records:
                    break
                raise FastCGIError(f"a record has version {buffer[start]} instead of {_VERSION}")
            if len(buffer) - start < _HEADER.size:
                break
            _, kind, request_id, length, padding = _HEADER.unpack_from(buffer, start)
            content = start + _HEADER.size
            end = content + length + padding
            if len(buffer) < end:
                break
            records.append(Record(kind, request_id, bytes(buffer[content : content + length])))
            start = end
        del buffer[:start]
        return records


def render(kind: RecordType, request_id: int, content: bytes = b"") -> bytes:
    """Render one record of at most MAX_CONTENT_BYTES; an empty one ends a stream (3.3).

    Raises struct.error for a longer one.
    """
    return _HEADER.pack(_VERSION, kind, request_id, len(content), 0) + content


def render_stream(kind: RecordType, request_id: int, data: bytes) -> bytes:
    """Render data of any length as records of a stream, without the end of the stream; b"" for none."""
    if len(data) <= MAX_CONTENT_BYTES:
        return render(kind, request_id, data) if data else b""
    pieces = range(0, len(data), MAX_CONTENT_BYTES)
    return b"".join(render(kind, request_id, data[at : at + MAX_CONTENT_BYTES]) for at in pieces)


def encode_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Render name-value pairs, the content of PARAMS and of GET_VALUES (3.4)."""
    parts: list[bytes] = []
    for name, value in pairs:
        parts += (_encode_length(len(name)), _encode_length(len(value)), name, value)
    return b"".join(parts)


def decode_pairs(content: bytes) -> list[tuple[bytes, bytes]]:
    """Read name-value pairs in order; raises FastCGIError where they end inside of one."""
    pairs, at = [], 0
    while at < len(content):
        name_bytes, at = _decode_length(content, at)
        value_bytes, at = _decode_length(content, at)
        middle, end = at + name_bytes, at + name_bytes + value_bytes
        if end > len(content):
            raise FastCGIError("a name-value pair is longer than what holds it")
        pairs.append((content[at:middle], content[middle:end]))
        at = end
    return pairs


def _encode_length(length: int) -> bytes:
    return bytes((length,)) if length < _SHORT_LENGTH_BELOW else struct.pack(">I", length | _LONG_LENGTH)


def _decode_length(content: bytes, at: int) -> tuple[int, int]:
    """Return the length at a position, and the position after it."""
    size = 4 if content[at : at + 1] >= b"\x80" else 1
    field = content[at : at + size]
    if len(field) < size:
        raise FastCGIError("name-value pairs end inside of a length")
    return int.from_bytes(field, "big") & ~_LONG_LENGTH, at + size
