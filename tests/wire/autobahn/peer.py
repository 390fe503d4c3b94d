"""A WebSocket client that speaks in raw frames, right or wrong, and reads strictly (RFC 6455, RFC 7692)."""

from __future__ import annotations

import dataclasses
import os
import socket
import struct
import zlib

from tests.wire.serving import Serving

__all__ = ["BINARY", "CLOSE", "CONTINUATION", "PING", "PONG", "TEXT", "Deflating", "Frame", "Peer"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_TAIL = b"\x00\x00\xff\xff"


@dataclasses.dataclass(frozen=True)
class Frame:
    """One frame; `rsv` is the three reserved bits as a number."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0

    def render(self, mask: bytes = b"") -> bytes:
        """Return its bytes, masked; at random, unless `mask` says how."""
        size = len(self.payload)
        head = bytes([self.fin << 7 | self.rsv << 4 | self.opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += struct.pack("!BH", 0x80 | 126, size)
        else:
            head += struct.pack("!BQ", 0x80 | 127, size)
        mask = mask or os.urandom(4)
        number = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        return head + mask + (int.from_bytes(self.payload, "big") ^ number).to_bytes(size, "big")


@dataclasses.dataclass
class Deflating:
    """The client's end of permessage-deflate, as it was agreed on in the handshake."""

    server_bits: int = 15
    server_resets: bool = False

    def __post_init__(self) -> None:
        self._deflater = zlib.compressobj(wbits=-15)
        self._inflater = zlib.decompressobj(wbits=-self.server_bits)

    def compress(self, payload: bytes) -> bytes:
        """Compress a message."""
        return (self._deflater.compress(payload) + self._deflater.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]

    def decompress(self, payload: bytes) -> bytes:
        """Decompress a message, with a window no larger than the server was asked to keep to."""
        data = self._inflater.decompress(payload + _TAIL)
        if self.server_resets:
            self._inflater = zlib.decompressobj(wbits=-self.server_bits)
        return data


class Peer:
    """An open WebSocket."""

    def __init__(
        self, running: Serving, path: str = "/", *, offer: str = "", receive_buffer_bytes: int = 0
    ) -> None:
        self.socket: socket.socket = running.connect(receive_buffer_bytes)
        self._buffer = bytearray()
        self.deflating: Deflating | None = None
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: autobahn",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        if offer:
            lines.append(f"Sec-WebSocket-Extensions: {offer}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.head = head.decode()
        assert self.head.startswith("HTTP/1.1 101 "), self.head
        accepted = [line for line in self.head.split("\r\n") if line.startswith("Sec-WebSocket-Extensions: ")]
        if accepted:
            bits = accepted[0].partition("server_max_window_bits=")[2].partition(";")[0]
            self.deflating = Deflating(int(bits or 15), "server_no_context_takeover" in accepted[0])

    def close(self) -> None:
        """Close the socket, whatever the state of the WebSocket."""
        self.socket.close()

    def send(self, *frames: Frame, chop: int = 0, withhold: int = 0) -> None:
        """Send frames, all at once or in pieces of `chop` bytes, without the last `withhold` bytes."""
        data = b"".join(frame.render() for frame in frames)
        data = data[: len(data) - withhold]
        size = chop or len(data) or 1
        try:
            for start in range(0, len(data), size):
                self.socket.sendall(data[start : start + size])
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server does not read on; what it said before can still be read

    def frame(self) -> Frame:
        """Return the next frame; raises EOFError at the end, AssertionError where it breaks the rules."""
        first, second = self._take(2)
        assert not second & 0x80, "a server never masks"
        size = second
        if second == 126:
            size = int.from_bytes(self._take(2), "big")
            assert size >= 126, "not the shortest length"
        elif second == 127:
            size = int.from_bytes(self._take(8), "big")
            assert 1 << 16 <= size < 1 << 63, "not the shortest length"
        frame = Frame(first & 0x0F, self._take(size), bool(first & 0x80), first >> 4 & 7)
        if frame.opcode & 8:
            assert frame.fin, "a control frame is never fragmented"
            assert len(frame.payload) <= 125
        assert frame.rsv in ({0, 4} if self.deflating and frame.opcode in {TEXT, BINARY} else {0}), frame
        return frame

    def message(self) -> tuple[int, bytes]:
        """Return the next message, (opcode, payload), joined and decompressed; control frames alike."""
        frame = self.frame()
        opcode, payload, compressed = frame.opcode, bytearray(frame.payload), frame.rsv == 4
        while not frame.fin:
            frame = self.frame()
            assert frame.opcode == CONTINUATION
            payload += frame.payload
        if compressed:
            assert self.deflating is not None
            return opcode, self.deflating.decompress(bytes(payload))
        return opcode, bytes(payload)

    def at_end(self) -> bool:
        """Wait for the end of the connection; False where there is something else."""
        while not self._buffer:
            if not self._receive():
                return True
        return False

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._receive():
                raise EOFError(f"the connection ended with {bytes(self._buffer)!r}")
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)
