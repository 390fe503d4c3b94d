"""FastCGI (FastCGI 1.0 specification): the record layer, for either side of a connection."""

from __future__ import annotations

from pierhead.protocols.fastcgi.records import (
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

__all__ = [
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
