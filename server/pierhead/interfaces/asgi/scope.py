"""Scopes: what an ASGI application is told of a request, a WebSocket or its lifespan (ASGI 3, HTTP 2.5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from pierhead.messages.request import Address, Request

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
    root_path = request.root_path
    raw_path = root_path + request.raw_path
    target, client, server = request.target, request.client, request.server
    scope: Scope = {
        "type": "http",
        "asgi": _HTTP_VERSIONS.copy(),
        "http_version": request.http_version,
        "method": request.method,
        "scheme": request.scheme,
        "path": unquote(raw_path) if "%" in raw_path else raw_path,
        "raw_path": raw_path.encode("latin-1"),
        "query_string": target.partition("?")[2].encode("latin-1") if "?" in target else b"",
        "root_path": unquote(root_path) if "%" in root_path else root_path,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": client if client is not None and client.port is not None else _client(client),
        "server": server if server is not None and server.port is not None else _server(server),
        "state": state.copy(),
        "extensions": _HTTP_EXTENSIONS.copy(),
    }
    if request.tls is not None:
        scope["extensions"]["tls"] = request.tls.as_extension()
    return scope


def websocket_scope(request: Request, subprotocols: tuple[str, ...], state: dict[str, Any]) -> Scope:
    """Return the scope of a WebSocket, opened by `request`."""
    scope = http_scope(request, state)
    del scope["method"]
    extensions = {**scope["extensions"], **_WEBSOCKET_EXTENSIONS}
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if request.scheme == "https" else "ws"
    scope["subprotocols"] = list(subprotocols)
    scope["extensions"] = {name: extensions[name] for name in extensions.keys() - _HTTP_EXTENSIONS.keys()}
    return scope


def lifespan_scope(state: dict[str, Any]) -> Scope:
    """Return the scope of the application's life in one worker; it fills `state`."""
    return {"type": "lifespan", "asgi": _LIFESPAN_VERSIONS.copy(), "state": state}


def _client(address: Address | None) -> Address | None:
    """Return a client without a port as ASGI has it: one that a proxy named, or the peer of a unix socket."""
    if address is None or address.host.startswith("unix:"):
        return None
    return address._replace(port=0)


def _server(address: Address | None) -> Address | None:
    """Return the address of a unix socket as ASGI has it: its path, and no port."""
    return None if address is None else address._replace(host=address.host.removeprefix("unix:"))
