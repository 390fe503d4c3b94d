"""The opening handshake: what is asked of a client, and what the 101 response says."""

from __future__ import annotations

import pytest

from pierhead.protocols.http1 import RequestHead
from pierhead.protocols.websocket import Handshake, HandshakeError, read_handshake

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455, 1.3
GOOD = {b"Sec-WebSocket-Key": KEY, b"Sec-WebSocket-Version": b"13"}


def head(fields: dict[bytes, bytes], method: str = "GET") -> RequestHead:
    section = b"".join(b"%b: %b\r\n" % field for field in fields.items())
    request = RequestHead(method, "/", "1.1", section)
    request.upgrade = ("websocket",)
    return request


def test_the_key_is_answered_as_in_the_rfc() -> None:
    response, deflate = read_handshake(head(GOOD)).accept(None, [], b"Date: now\r\n", deflate=True)
    assert response == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nDate: now\r\n\r\n"
    )
    assert deflate is None


def test_subprotocols_are_offered_in_order_and_one_is_accepted() -> None:
    handshake = read_handshake(head({**GOOD, b"Sec-WebSocket-Protocol": b"chat, superchat"}))
    assert handshake.subprotocols == ("chat", "superchat")
    response, _ = handshake.accept("chat", [(b"X", b"y")], b"", deflate=False)
    assert b"Sec-WebSocket-Protocol: chat\r\nX: y\r\n" in response


@pytest.mark.parametrize(
    ("status", "fields", "method"),
    [
        (405, GOOD, "POST"),
        (400, {b"Sec-WebSocket-Key": KEY}, "GET"),
        (426, {**GOOD, b"Sec-WebSocket-Version": b"8"}, "GET"),
        (400, {b"Sec-WebSocket-Version": b"13"}, "GET"),
        (400, {**GOOD, b"Sec-WebSocket-Key": b"c2hvcnQ="}, "GET"),
        (400, {**GOOD, b"Sec-WebSocket-Key": b"!" * 24}, "GET"),
        (400, {**GOOD, b"sec-websocket-key": KEY}, "GET"),
        (400, {**GOOD, b"Sec-WebSocket-Protocol": b"a, a"}, "GET"),
    ],
)
def test_refuses(status: int, fields: dict[bytes, bytes], method: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        read_handshake(head(fields, method))
    assert caught.value.status == status
    if status == 426:
        assert caught.value.headers["Sec-WebSocket-Version"] == "13"


@pytest.mark.parametrize(
    "field", [(b"Upgrade", b"x"), (b"Sec-WebSocket-Accept", b"x"), (b"X", b"y\r\nZ: z"), (b"X", b"\0")]
)
def test_the_application_cannot_forge_the_response(field: tuple[bytes, bytes]) -> None:
    handshake = Handshake(KEY, (), ())
    with pytest.raises(ValueError):
        handshake.accept(None, [field], b"", deflate=False)


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (b"permessage-deflate", b"permessage-deflate"),
        (b"permessage-deflate; client_max_window_bits", b"permessage-deflate"),
        (b"permessage-deflate;client_max_window_bits=8", b"permessage-deflate"),
        (
            b"permessage-deflate; server_max_window_bits=8",
            b"permessage-deflate; server_max_window_bits=8",
        ),
        (
            b'permessage-deflate; server_max_window_bits="10"; server_no_context_takeover',
            b"permessage-deflate; server_max_window_bits=10; server_no_context_takeover",
        ),
        (
            b"permessage-deflate; client_no_context_takeover",
            b"permessage-deflate; client_no_context_takeover",
        ),
        (b"x-other, permessage-deflate; nonsense, permessage-deflate", b"permessage-deflate"),
    ],
)
def test_compression_is_agreed_on(offer: bytes, answer: bytes) -> None:
    response, deflate = Handshake(KEY, (), (offer,)).accept(None, [], b"", deflate=True)
    assert b"Sec-WebSocket-Extensions: " + answer + b"\r\n" in response
    assert deflate is not None


@pytest.mark.parametrize(
    "offer",
    [
        b"x-webkit-deflate-frame",
        b"permessage-deflate; nonsense",
        b"permessage-deflate; server_max_window_bits",
        b"permessage-deflate; server_max_window_bits=7",
        b"permessage-deflate; server_max_window_bits=16",
        b"permessage-deflate; client_max_window_bits=abc",
        b"permessage-deflate; client_no_context_takeover=1",
        b"permessage-deflate; client_max_window_bits; client_max_window_bits",
    ],
)
def test_an_offer_that_cannot_be_kept_is_declined(offer: bytes) -> None:
    response, deflate = Handshake(KEY, (), (offer,)).accept(None, [], b"", deflate=True)
    assert b"Extensions" not in response
    assert deflate is None
