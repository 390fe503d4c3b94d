"""Compression of messages: negotiation of permessage-deflate (RFC 7692, 7.1) and its use by wsproto.

wsproto's own negotiation takes unknown and malformed parameters, which RFC 7692 has a server decline; and
its decompression loses its place when a control frame comes between the fragments of a message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, Opcode, RsvBits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsproto.frame_protocol import FrameDecoder, FrameProtocol

__all__ = ["Deflate", "negotiate"]

_NAME = b"permessage-deflate"
_BITS = re.compile(rb'"?(9|1[0-5])"?')
_ANY_BITS = re.compile(rb'"?([89]|1[0-5])"?')


class Deflate(PerMessageDeflate):
    """permessage-deflate that leaves control frames alone (RFC 7692, 6: they are never compressed)."""

    _in_control_frame = False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Note which kind of frame begins; see wsproto.extensions.Extension."""
        self._in_control_frame = opcode.iscontrol()
        if self._in_control_frame:
            return RsvBits(False, False, False)
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """Decompress a piece of a data frame; see wsproto.extensions.Extension."""
        if self._in_control_frame:
            return data
        return super().frame_inbound_payload_data(proto, data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        """Finish a data frame; see wsproto.extensions.Extension."""
        if self._in_control_frame:
            return None
        return super().frame_inbound_complete(proto, fin)


def negotiate(values: Iterable[bytes]) -> tuple[Deflate | None, bytes]:
    """Take the first acceptable offer of permessage-deflate among the extension fields' `values`.

    Returns the extension, enabled, and the field value that accepts it; (None, b"") where nothing fits. An
    offer with an unknown, repeated or malformed parameter is declined (RFC 7692, 7.1).
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
    server_bits: int | None = None
    for name, setting in offered.items():
        if name in {b"server_no_context_takeover", b"client_no_context_takeover"} and setting is None:
            answer.append(name)
        elif name == b"server_max_window_bits" and (bits := _BITS.fullmatch(setting or b"")):
            server_bits = int(bits[1])  # zlib has no raw window of 8 bits
            answer.append(b"%b=%d" % (name, server_bits))
        elif name == b"client_max_window_bits" and _ANY_BITS.fullmatch(setting or b"15"):
            continue  # the window here is the largest: whatever the client chooses fits in it
        else:
            return None
    extension = Deflate(
        client_no_context_takeover=b"client_no_context_takeover" in offered,
        server_no_context_takeover=b"server_no_context_takeover" in offered,
        server_max_window_bits=server_bits,
    )
    extension.finalize(_NAME.decode())
    return extension, b"; ".join(answer)
