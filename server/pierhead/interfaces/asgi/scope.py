"""Scopes: what an ASGI application is told of a request, a WebSocket or its lifespan (ASGI 3, HTTP 2.5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from pierhead.messages.request import Request

__all__ = [
    "ASGIApp",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "http_scope",
    "lifespan_scope",
    "websocket_scope",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_HTTP_VERSIONS = {"version": "3.0", "spec_version": "2.5"}
_LIFESPAN_VERSIONS = {"version": "3.0", "spec_version": "2.0"}
_HTTP_EXTENSIONS: dict[str, Any] = {
    "http.response.pathsend": {},
    "http.response.early_hint": {},
    "http.response.trailers": {},
}
_WEBSOCKET_EXTENSIONS: dict[str, Any] = {"websocket.http.response": {}}


def http_scope(request: Request, state: dict[str, Any]) -> Scope:
    """Return the scope of an HTTP request; `state` is what the lifespan keeps, copied for the request."""
    scope: Scope = {
        "type": "http",
        "method": request.method,
        "scheme": request.scheme,
        "extensions": _HTTP_EXTENSIONS.copy(),
    }
    return _filled(scope, request, state)


def websocket_scope(request: Request, subprotocols: tuple[str, ...], state: dict[str, Any]) -> Scope:
    """Return the scope of a WebSocket, opened by `request`."""
    scope: Scope = {
        "type": "websocket",
        "scheme": "wss" if request.scheme == "https" else "ws",
        "subprotocols": list(subprotocols),
        "extensions": _WEBSOCKET_EXTENSIONS.copy(),
    }
    return _filled(scope, request, state)


def lifespan_scope(state: dict[str, Any]) -> Scope:
    """Return the scope of the application's life in one worker; it fills `state`."""
    return {"type": "lifespan", "asgi": _LIFESPAN_VERSIONS.copy(), "state": state}


def _filled(scope: Scope, request: Request, state: dict[str, Any]) -> Scope:
    """Add what requests and WebSockets have in common."""
    root_path = request.root_path
    raw_path = root_path + request.raw_path
    client = request.client
    if client is not None and client.port is None:
        # A unix socket's peer has no address; a proxy may have named the client without its port.
        client = None if client.host.startswith("unix:") else client._replace(port=0)
    server = request.server
    if server is not None and server.port is None:
        server = server._replace(host=server.host.removeprefix("unix:"))
    scope["asgi"] = _HTTP_VERSIONS.copy()
    scope["http_version"] = request.http_version
    scope["path"] = unquote(raw_path) if "%" in raw_path else raw_path
    scope["raw_path"] = raw_path.encode("latin-1")
    scope["query_string"] = request.query_string.encode("latin-1")
    scope["root_path"] = unquote(root_path) if "%" in root_path else root_path
    scope["headers"] = [(name.lower(), value) for name, value in request.headers.raw]
    scope["client"] = client
    scope["server"] = server
    scope["state"] = state.copy()
    if request.tls is not None:
        scope["extensions"]["tls"] = request.tls.as_extension()
    return scope
