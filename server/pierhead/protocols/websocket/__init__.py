"""WebSocket (RFC 6455) with permessage-deflate (RFC 7692): the opening handshake, and frames by wsproto."""

from __future__ import annotations

from pierhead.protocols.websocket.codec import Closed, Message, Pong, WebSocketCodec, WebSocketEvent
from pierhead.protocols.websocket.handshake import Handshake, HandshakeError, read_handshake

__all__ = [
    "Closed",
    "Handshake",
    "HandshakeError",
    "Message",
    "Pong",
    "WebSocketCodec",
    "WebSocketEvent",
    "read_handshake",
]
