"""The opening handshake on the server's side (RFC 6455, 4.2): from parsed fields to the 101 response."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib

from pierhead.errors import PierheadError
from pierhead.protocols.http1.events import RawFields, RequestHead
from pierhead.protocols.websocket.deflate import Deflate, negotiate

__all__ = ["Handshake", "HandshakeError", "read_handshake"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SERVERS_OWN = frozenset(
    {b"upgrade", b"connection", b"content-length", b"transfer-encoding"}
    | {b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions"}
)


class HandshakeError(PierheadError):
    """The handshake is refused with `status` and, beside others, these response `headers`."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}


@dataclasses.dataclass(frozen=True, slots=True)
class Handshake:
    """A valid opening handshake that waits for its answer."""

    key: bytes
    subprotocols: tuple[str, ...]
    extensions: tuple[bytes, ...]
    """The Sec-WebSocket-Extensions field values as received."""

    def accept(
        self, subprotocol: str | None, headers: RawFields, stamp: bytes, *, deflate: bool
    ) -> tuple[bytes, Deflate | None]:
        """Render the 101 response; returns it with the compression that was agreed on, if any.

        Raises ValueError for a field that the handshake sets by itself, or with CR, LF or NUL.
        """
        digest = hashlib.sha1(self.key + _GUID, usedforsecurity=False).digest()
        lines = [
            b"HTTP/1.1 101 Switching Protocols",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest),
        ]
        if subprotocol is not None:
            lines.append(b"Sec-WebSocket-Protocol: " + subprotocol.encode("latin-1"))
        extension, parameters = negotiate(self.extensions) if deflate else (None, b"")
        if extension is not None:
            lines.append(b"Sec-WebSocket-Extensions: " + parameters)
        for name, value in headers:
            if name.lower() in _SERVERS_OWN:
                raise ValueError(f"{name.decode('latin-1')} of a 101 response is set by the server")
            lines.append(b"%b: %b" % (name, value))
        text = b"\r\n".join(lines)
        if text.count(b"\r") != len(lines) - 1 or text.count(b"\n") != len(lines) - 1 or b"\0" in text:
            raise ValueError("a header field of the response contains CR, LF or NUL")
        return text + b"\r\n" + stamp + b"\r\n", extension


def read_handshake(head: RequestHead) -> Handshake:
    """Check the fields of a request whose Upgrade names websocket.

    Raises HandshakeError: 405 for a method other than GET, 426 for another version of the protocol, 400 for
    a missing, repeated or malformed field.
    """
    if head.method != "GET":
        raise HandshakeError(405, "a WebSocket is opened with GET (RFC 6455, 4.1)", {"Allow": "GET"})
    fields: dict[bytes, list[bytes]] = {}
    for name, value in head.fields:
        fields.setdefault(name.lower(), []).append(value)
    versions = fields.get(b"sec-websocket-version", [])
    if versions != [b"13"]:
        raise HandshakeError(
            426 if versions else 400,
            "only version 13 of the WebSocket protocol is spoken here",
            {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"},
        )
    keys = fields.get(b"sec-websocket-key", [])
    if len(keys) != 1 or not _is_key(keys[0]):
        raise HandshakeError(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    offered = [
        part.strip(b"\t ")
        for value in fields.get(b"sec-websocket-protocol", [])
        for part in value.split(b",")
        if part.strip(b"\t ")
    ]
    if len(set(offered)) != len(offered):
        raise HandshakeError(400, "a subprotocol is offered twice (RFC 6455, 4.1)")
    return Handshake(
        key=keys[0],
        subprotocols=tuple(name.decode("latin-1") for name in offered),
        extensions=tuple(fields.get(b"sec-websocket-extensions", [])),
    )


def _is_key(value: bytes) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == 16
    except binascii.Error:
        return False
