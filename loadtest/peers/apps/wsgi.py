"""The application for WSGI (PEP 3333): the 13 bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

HEADERS = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "13")]


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Answer."""
    start_response("200 OK", HEADERS)
    return [b"Hello, World!"]
