"""Pierhead: a small, strict, fast HTTP/1.1 and WebSocket application server.

The public names; each is imported from its module when it is first used, so that commands which need no
server, such as `pierhead health`, don't load one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "Address": "messages.request",
    "App": "app",
    "ClientDisconnected": "errors",
    "HTTPError": "errors",
    "Headers": "messages.headers",
    "Request": "messages.request",
    "Response": "messages.response",
    "Server": "server",
    "ServerSentEvent": "messages.events",
    "WebSocket": "messages.websocket",
    "WebSocketClosed": "errors",
    "check_preconditions": "messages.conditional",
    "event_stream": "messages.events",
    "restore_etags": "messages.conditional",
}


def __getattr__(name: str) -> Any:
    """Import a public name (PEP 562)."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'pierhead' has no attribute {name!r}; it has: {', '.join(__all__)}")
    value = globals()[name] = getattr(importlib.import_module(f"pierhead.{module}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
