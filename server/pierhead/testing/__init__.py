r"""Testing an application without a socket, and a server with raw bytes.

    with Client(app) as client:
        response = client.get("/user/1")
        assert response.json() == {"id": 1}

    assert handle_raw(app, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 OK")

Every request goes through the whole server, from its bytes to the response's: parsing, limits, routing,
framing, health paths, what trusted proxies say. Only the socket is left out.
"""

from __future__ import annotations

from pierhead.testing.client import Client
from pierhead.testing.raw import handle_raw
from pierhead.testing.responses import ClientResponse, ClientStream
from pierhead.testing.session import CookieJar, Session
from pierhead.testing.websocket import ClientWebSocket, WebSocketRejected

__all__ = [
    "Client",
    "ClientResponse",
    "ClientStream",
    "ClientWebSocket",
    "CookieJar",
    "Session",
    "WebSocketRejected",
    "handle_raw",
]
