"""What starting a process that serves has in common: its event loop, and how its failure is told."""

from __future__ import annotations

import asyncio

__all__ = ["START_FAILED", "StartFailedError", "new_loop"]

START_FAILED = 3
"""Exit code of a process whose application did not start."""


class StartFailedError(Exception):
    """The application's start hooks raised; the message is the traceback."""


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Return an event loop: `uvloop`, `asyncio`, or with `auto` uvloop where it is installed."""
    if kind != "asyncio":
        try:
            import uvloop
        except ImportError:
            if kind == "uvloop":
                raise
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()
