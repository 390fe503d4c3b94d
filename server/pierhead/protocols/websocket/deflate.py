"""Compression of messages: negotiation of permessage-deflate (RFC 7692, 7.1) and its use in frames.

wsproto has both too, but its negotiation takes unknown and malformed parameters, which a server must decline,
and its decompression has no limit, loses its place at a control frame, and ends with a final block.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from typing import TYPE_CHECKING

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Opcode, RsvBits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsproto.frame_protocol import FrameDecoder, FrameProtocol

__all__ = ["Deflate", "negotiate"]

_NAME = b"permessage-deflate"
_BITS = re.compile(rb'"?([89]|1[0-5])"?')
_TAIL = b"\x00\x00\xff\xff"  # what a sender leaves out at the end of each message (RFC 7692, 7.2.1)
_WINDOW_BYTES = 32 << 10
_MOST_FINAL_BLOCKS = 64  # in a message: each costs a new decompressor


class Deflate(Extension):
    """permessage-deflate as agreed on by a server and its client."""

    name = _NAME.decode()

    def __init__(
        self,
        *,
        client: bool = False,
        client_no_context_takeover: bool = False,
        server_no_context_takeover: bool = False,
        server_max_window_bits: int = 15,
    ) -> None:
        self.room = 0
        """How many bytes the current message may still become."""
        self._inbound_reset = server_no_context_takeover if client else client_no_context_takeover
        self._outbound_reset = client_no_context_takeover if client else server_no_context_takeover
        # zlib has no raw window of 8 bits; but run-length matches look back one byte, which fits in any.
        self._strategy = zlib.Z_RLE if server_max_window_bits == 8 else zlib.Z_DEFAULT_STRATEGY
        self._outbound_bits = max(server_max_window_bits, 9)
        self._deflater: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None
        self._recent: deque[bytes] = deque()  # the window's worth of output, for after a final block
        self._recent_bytes = 0
        self._final_blocks = 0
        self._compressed = False
        self._control = False

    def offer(self) -> bool:  # pragma: no cover - abstract in wsproto, whose negotiation is not used
        """Offer nothing; see wsproto.extensions.Extension."""
        return False

    def compress(self, payload: bytes) -> bytes:
        """Compress a whole message."""
        if self._deflater is None:
            self._deflater = zlib.compressobj(wbits=-self._outbound_bits, strategy=self._strategy)
        data = self._deflater.compress(payload) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        if self._outbound_reset:
            self._deflater = None
        return data.removesuffix(_TAIL)

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Note which kind of frame begins; control frames and continuations have no bit (RFC 7692, 6)."""
        self._control = opcode.iscontrol()
        if self._control or opcode is Opcode.CONTINUATION:
            return RsvBits(False, False, False)
        self._compressed = rsv.rsv1
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """Decompress a piece of a data frame: 1009 where it becomes more than `room`, 1007 for garbage."""
        return data if self._control or not self._compressed else self._inflate(data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        """Finish a data frame; see `frame_inbound_payload_data`."""
        if self._control or not fin or not self._compressed:
            return None
        rest = self._inflate(_TAIL)
        self._compressed = False
        self._final_blocks = 0
        if self._inbound_reset:
            self._inflater = None
            self._recent.clear()
            self._recent_bytes = 0
        return rest

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        pieces = []
        try:
            while data:
                if self._inflater is None:
                    self._inflater = zlib.decompressobj(wbits=-15, zdict=b"".join(self._recent))
                piece = self._inflater.decompress(data, self.room + 1)
                self.room -= len(piece)
                if self.room < 0:
                    return CloseReason.MESSAGE_TOO_BIG
                pieces.append(piece)
                self._remember(piece)
                data = b""
                if self._inflater.eof:  # a final block may end a message, or a part of it (RFC 7692, 7.2.3.4)
                    data = self._inflater.unused_data
                    self._inflater = None
                    self._final_blocks += 1
                    if self._final_blocks > _MOST_FINAL_BLOCKS:
                        return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        return b"".join(pieces)

    def _remember(self, piece: bytes) -> None:
        if piece:
            self._recent.append(piece[-_WINDOW_BYTES:])
            self._recent_bytes += len(self._recent[-1])
            while self._recent_bytes - len(self._recent[0]) >= _WINDOW_BYTES:
                self._recent_bytes -= len(self._recent.popleft())


def negotiate(values: Iterable[bytes]) -> tuple[Deflate | None, bytes]:
    """Take the first acceptable offer of permessage-deflate among the extension fields' `values`.

    Returns the extension and the field value that accepts it; (None, b"") where nothing fits. An offer with
    an unknown, repeated or malformed parameter is declined (RFC 7692, 7.1).
    """
    for offer in (offer for value in values for offer in value.split(b",")):
        name, *parameters = [part.strip(b"\t ") for part in offer.split(b";")]
        if name == _NAME:
            extension = _accept(parameters)
            if extension is not None:
                return extension
    return None, b""


def _accept(parameters: list[bytes]) -> tuple[Deflate, bytes] | None:
    offered: dict[bytes, bytes | None] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition(b"=")
        name = name.rstrip(b"\t ")
        if name in offered:
            return None
        offered[name] = value.lstrip(b"\t ") if equals else None
    answer = [_NAME]
    server_bits = 15
    for name, setting in offered.items():
        if name in {b"server_no_context_takeover", b"client_no_context_takeover"} and setting is None:
            answer.append(name)
        elif name == b"server_max_window_bits" and (bits := _BITS.fullmatch(setting or b"")):
            server_bits = int(bits[1])
            answer.append(b"%b=%d" % (name, server_bits))
        elif name == b"client_max_window_bits" and _BITS.fullmatch(setting or b"15"):
            continue  # the window here is the largest: whatever the client chooses fits in it
        else:
            return None
    extension = Deflate(
        client_no_context_takeover=b"client_no_context_takeover" in offered,
        server_no_context_takeover=b"server_no_context_takeover" in offered,
        server_max_window_bits=server_bits,
    )
    return extension, b"; ".join(answer)
