"""What a worker, its nursery and their processes say to each other: frames, without I/O.

A frame is its kind (one byte), two lengths (four bytes each, big endian), facts as JSON and bytes as they
are. JSON, because a process that an application has broken must not be able to break who reads it.
"""

from __future__ import annotations

import enum
import json
import struct
from typing import Any, NamedTuple

__all__ = ["MOST_BYTES", "Frame", "FrameReader", "Kind", "encode"]

MOST_BYTES = 64 << 20
"""What a worker reads of one frame; a process sends no more."""

_HEAD = struct.Struct("!BII")
_NO_FACTS: dict[str, Any] = {}


class Kind(enum.IntEnum):
    """What a frame says."""

    # From a worker to its nursery
    FORK = 1
    """Fork a process of application `part`, known as `tag`; with the descriptor of its end of the link."""
    KILL = 2
    """Kill the process known as `tag`, with its stacks written first where `ask`."""
    LOAD = 3
    """To a fresh one, before anything else: load application `app`; with the `settings` of the server."""
    COPY = 4
    """Fork another nursery, for who has the other end of the descriptor that comes with it."""

    # From the nursery
    FORKED = 10
    """`tag` has `pid`."""
    ENDED = 11
    """`tag` ended with wait `status`, or (None) could not be forked for a `reason`; with its stacks."""
    LOADED = 12
    """The application is loaded, by `pid`, or (with a `reason`) it does not load."""
    HEARD = 13
    """A KILL was read."""

    # From a worker to a process
    REQUEST = 20
    """Answer a request; with its body or, where it has a `size`, the descriptor of a file with it."""
    OPEN = 21
    """Converse over a WebSocket."""
    GONE = 22
    """The client has left, or nobody waits any more: end what is going on, and leave."""
    SOCKET = 23
    """The connection is yours, with its descriptor, and what was read ahead."""
    RELAY = 24
    """The WebSocket is accepted, and its messages come as frames."""
    GO_AWAY = 25
    """Close the WebSocket with `code`."""

    # In both directions
    PIECE = 30
    """A piece of a body."""
    END = 31
    """Its end, with its trailers."""
    BROKEN = 32
    """It will never be complete."""
    TEXT = 33
    BINARY = 34
    PING = 35
    CLOSE = 36
    """Of a relayed WebSocket: close it with `code` and `reason`; it was closed so."""

    # From a process
    READY = 40
    FAILED = 41
    """The application did not start."""
    HINT = 42
    RESPONSE = 43
    """A whole response: status, fields, and its body, or the `file` it is in."""
    HEAD = 44
    """The head of a response whose body follows in pieces."""
    EXTEND = 45
    """The request takes `seconds` more."""
    ACCEPT = 46
    """The handshake of a WebSocket is accepted."""
    DONE = 47
    """The request is over; the process waits for the next one."""


class Frame(NamedTuple):
    """One frame."""

    kind: Kind
    facts: dict[str, Any]
    data: bytes


def encode(kind: Kind, facts: dict[str, Any] | None = None, data: bytes = b"") -> bytes:
    """Render a frame; `facts` are what JSON can say."""
    text = json.dumps(facts, separators=(",", ":")).encode() if facts else b""
    return b"%b%b%b" % (_HEAD.pack(kind, len(text), len(data)), text, data)


class FrameReader:
    """Takes bytes as they come, and returns the frames that they complete, at most of `most_bytes` if set."""

    def __init__(self, most_bytes: int = 0) -> None:
        self._buffer = bytearray()
        self._most_bytes = most_bytes

    def feed(self, data: bytes) -> list[Frame]:
        """Return what `data` completes; raises ValueError for what is no frame, or too long."""
        buffer = self._buffer
        buffer += data
        frames = []
        at = 0
        while len(buffer) - at >= _HEAD.size:
            kind, text_bytes, data_bytes = _HEAD.unpack_from(buffer, at)
            begin = at + _HEAD.size
            end = begin + text_bytes + data_bytes
            if self._most_bytes and end - begin > self._most_bytes:
                raise ValueError(f"a frame of {end - begin} bytes, at most {self._most_bytes} are read")
            if end > len(buffer):
                break
            text = bytes(buffer[begin : begin + text_bytes])
            facts = json.loads(text) if text else _NO_FACTS
            frames.append(Frame(Kind(kind), facts, bytes(buffer[begin + text_bytes : end])))
            at = end
        del buffer[:at]
        return frames
