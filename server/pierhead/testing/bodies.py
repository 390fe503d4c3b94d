"""The bodies of requests: bytes, forms, files, JSON."""

from __future__ import annotations

import json as json_module
import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

__all__ = ["Files", "request_body"]

_File = tuple[str, bytes, str]
Files = Mapping[str, _File] | Iterable[tuple[str, _File]]
"""Files of a form by the names of their fields: file name, content and media type of each."""
_ESCAPES = {ord("\r"): "%0D", ord("\n"): "%0A", ord('"'): "%22"}  # as browsers write names


def request_body(
    content: bytes | str | Iterable[bytes] | None,
    data: Mapping[str, Any] | Iterable[tuple[str, Any]] | None,
    json: Any,
    files: Files | None,
) -> tuple[list[tuple[str, str]], list[bytes]]:
    """Return the header fields and the pieces of a request body."""
    kind = ""
    if files is not None:
        boundary = secrets.token_hex(16)
        kind = f"multipart/form-data; boundary={boundary}"
        content = _multipart(boundary, data or {}, files)
    elif data is not None:
        kind = "application/x-www-form-urlencoded"
        content = urlencode(list(data.items() if isinstance(data, Mapping) else data), doseq=True)
    elif json is not None:
        kind = "application/json"
        content = json_module.dumps(json)
    fields = [("Content-Type", kind)] if kind else []
    if content is None:
        return fields, []
    if isinstance(content, str):
        content = content.encode()
    if isinstance(content, bytes):
        return [*fields, ("Content-Length", str(len(content)))], [content]
    return [*fields, ("Transfer-Encoding", "chunked")], list(content)


def _multipart(
    boundary: str,
    data: Mapping[str, Any] | Iterable[tuple[str, Any]],
    files: Files,
) -> bytes:
    """Render a multipart/form-data body (RFC 7578)."""
    parts = bytearray()
    for name, value in data.items() if isinstance(data, Mapping) else data:
        disposition = f'form-data; name="{name.translate(_ESCAPES)}"'
        parts += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n{value}\r\n".encode()
    for name, (filename, content, media_type) in files.items() if isinstance(files, Mapping) else files:
        disposition = (
            f'form-data; name="{name.translate(_ESCAPES)}"; filename="{filename.translate(_ESCAPES)}"'
        )
        parts += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n".encode()
        parts += f"Content-Type: {media_type}\r\n\r\n".encode() + content + b"\r\n"
    return bytes(parts + f"--{boundary}--\r\n".encode())
