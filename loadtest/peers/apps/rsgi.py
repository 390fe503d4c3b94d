"""The application for RSGI, granian's own interface: the 13 bytes."""

from __future__ import annotations

from typing import Any

HEADERS = [("content-type", "text/plain; charset=utf-8")]


class Greeting:
    """An RSGI application."""

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer."""
        protocol.response_str(200, HEADERS, "Hello, World!")


app = Greeting()
