"""FastCGI (FastCGI 1.0 specification): the record layer for either side, the codec for applications."""

from __future__ import annotations

from pierhead.protocols.fastcgi.codec import FastCGICodec
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
    "FastCGICodec",
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
