"""A request as meta-variables: what CGI programs find in their environment, and WSGI applications in theirs.

RFC 3875, 4.1, and PEP 3333. Values are text that stands for bytes, each character one (Latin-1), as PEP 3333
wants them.
"""

from __future__ import annotations

import functools
from urllib.parse import unquote_to_bytes

from pierhead.messages.request import Request

__all__ = ["meta_variables"]

_MOST_NAMES = 1024
_SOFTWARE = "pierhead"
# Content-Length is said of the body as it was read. HTTP_PROXY would be taken for the address of a proxy by
# programs that send requests of their own. The others are the connection's, and framing that is undone.
_NOT_PASSED = {
    "CONTENT_LENGTH",
    "HTTP_PROXY",
    "HTTP_CONNECTION",
    "HTTP_KEEP_ALIVE",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_TE",
    "HTTP_UPGRADE",
    "HTTP_EXPECT",
}
_PROTOCOLS = {"1.1": "HTTP/1.1", "1.0": "HTTP/1.0", "2": "HTTP/2.0"}  # with two numbers (RFC 3875, 4.1.16)
_known: dict[bytes, str] = {}  # field name -> variable, "" for one that is not passed


def meta_variables(request: Request, content_length: int | None) -> dict[str, str]:
    """Return the variables; `content_length` is what the body has in bytes, None where there is no body.

    A field whose name has an underscore is left out: it would pass for the one with a hyphen, which a proxy
    may have set or removed.
    """
    root_path, raw_path, target = request.root_path, request.raw_path, request.target
    client, server = request.client, request.server
    query = target.partition("?")[2] if "?" in target else ""
    uri = root_path + raw_path
    found: dict[str, str] = {}
    for name, value in request.headers.raw:
        variable = _known.get(name)
        if variable is None:
            variable = _learn(name)
        if variable:
            text = value.decode("latin-1")
            if variable in found:
                text = f"{found[variable]}{'; ' if variable == 'HTTP_COOKIE' else ', '}{text}"
            found[variable] = text
    host = found.get("HTTP_HOST")
    if not target.startswith("/") and target != "*":  # the target's host counts (RFC 9112, 3.2.2)
        host = found["HTTP_HOST"] = request.host
    elif host is None:
        host = request.host
    found |= {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": _decoded(root_path) if root_path else "",
        "PATH_INFO": _decoded(raw_path),
        "QUERY_STRING": query,
        "REQUEST_URI": f"{uri}?{query}" if query else uri,
        "SERVER_NAME": _name(host) or (server.host if server is not None and server.port else "localhost"),
        "SERVER_PORT": str((server and server.port) or (443 if request.scheme == "https" else 80)),
        "SERVER_PROTOCOL": _PROTOCOLS.get(request.http_version) or f"HTTP/{request.http_version}",
        "SERVER_SOFTWARE": _SOFTWARE,
        "REMOTE_ADDR": "",
    }
    if client is not None and not client.host.startswith("unix:"):
        found["REMOTE_ADDR"] = client.host
        if client.port is not None:
            found["REMOTE_PORT"] = str(client.port)
    if request.scheme == "https":
        found["HTTPS"] = "on"
    if content_length is not None:
        found["CONTENT_LENGTH"] = str(content_length)
    return found


def _learn(name: bytes) -> str:
    text = name.decode("latin-1").upper()
    variable = text.replace("-", "_")
    if variable != "CONTENT_TYPE":
        variable = variable if variable == "CONTENT_LENGTH" else f"HTTP_{variable}"
    if "_" in text or variable in _NOT_PASSED:
        variable = ""
    if len(_known) >= _MOST_NAMES:  # a client that invents names does not fill the memory
        _known.clear()
    _known[name] = variable
    return variable


def _decoded(path: str) -> str:
    return unquote_to_bytes(path).decode("latin-1") if "%" in path else path


@functools.lru_cache(1024)
def _name(host: str) -> str:
    """Return the host without its port; an IPv6 address keeps its brackets (RFC 3875, 4.1.14)."""
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdecimal() or not port) else host
