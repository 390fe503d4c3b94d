"""Pierhead: a small, strict, fast HTTP/1.1 and WebSocket application server."""

from __future__ import annotations

from pierhead.app import App
from pierhead.errors import ClientDisconnected, HTTPError, WebSocketClosed
from pierhead.messages.conditional import check_preconditions, restore_etags
from pierhead.messages.events import ServerSentEvent, event_stream
from pierhead.messages.headers import Headers
from pierhead.messages.request import Address, Request
from pierhead.messages.response import Response
from pierhead.messages.websocket import WebSocket
from pierhead.server import Server

__all__ = [
    "Address",
    "App",
    "ClientDisconnected",
    "HTTPError",
    "Headers",
    "Request",
    "Response",
    "Server",
    "ServerSentEvent",
    "WebSocket",
    "WebSocketClosed",
    "check_preconditions",
    "event_stream",
    "restore_etags",
]
