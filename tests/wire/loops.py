"""The event loop that a worker runs on."""

from __future__ import annotations

import asyncio
import importlib

__all__ = ["best_loop"]


def best_loop() -> asyncio.AbstractEventLoop:
    """Return a new uvloop where it is installed, asyncio's own loop elsewhere."""
    try:
        loop = importlib.import_module("uvloop").new_event_loop()
    except ImportError:
        return asyncio.new_event_loop()
    assert isinstance(loop, asyncio.AbstractEventLoop)
    return loop
