"""Splits what an HTTP/2 client sends into frames (RFC 9113, 4.1), to be looked at before they are read."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["HEADER_BYTES", "MAX_FRAME_BYTES", "PREFACE", "FrameHeader", "FrameSplitter", "FrameType"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9
MAX_FRAME_BYTES = 16384
"""The longest frame that is taken without its header: what every peer has to take (RFC 9113, 4.2)."""


class FrameType(enum.IntEnum):
    """The types of frames that are known here (RFC 9113, 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class FrameHeader(NamedTuple):
    """What is known of a frame before it is read."""

    type: int
    flags: int
    length: int
    """Of what follows the header, in bytes."""
    stream_id: int


class FrameSplitter:
    """Cuts bytes into frames; keeps no more than one that is not complete.

    `check` is called with the header of each frame as soon as it is there, and may raise.
    """

    def __init__(self, check: Callable[[FrameHeader], None]) -> None:
        self._check = check
        self._buffer = bytearray()
        self._header: FrameHeader | None = None

    @property
    def inside(self) -> bool:
        """Whether a frame has begun that is not complete, and is not of a body."""
        return bool(self._buffer) and (self._header is None or self._header.type != FrameType.DATA)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._buffer += data

    def next(self) -> tuple[FrameHeader, bytes] | None:
        """Return the next frame, with all its bytes; None where it is not complete."""
        buffer = self._buffer
        header = self._header
        if header is None:
            if len(buffer) < HEADER_BYTES:
                return None
            header = self._header = FrameHeader(
                buffer[3],
                buffer[4],
                int.from_bytes(buffer[:3], "big"),
                int.from_bytes(buffer[5:9], "big") & 0x7FFFFFFF,
            )
            self._check(header)
        end = HEADER_BYTES + header.length
        if len(buffer) < end:
            return None
        frame = bytes(buffer[:end])
        del buffer[:end]
        self._header = None
        return header, frame
