"""The ASGI interface: runs applications of ASGI 3 frameworks (https://asgi.readthedocs.io)."""

from __future__ import annotations

from pierhead.interfaces.asgi.application import ASGIApplication

__all__ = ["ASGIApplication"]
