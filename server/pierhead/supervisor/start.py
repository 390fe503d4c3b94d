"""What starting a process that serves has in common: its event loop, and how its failure is told."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pierhead.interfaces.base import Application

__all__ = ["START_FAILED", "StartFailedError", "master_hooks", "new_loop"]

START_FAILED = 3
"""Exit code of a process whose application did not start."""


class StartFailedError(Exception):
    """The application's start hooks raised; the message is the traceback."""


@contextlib.contextmanager
def master_hooks(application: Application) -> Iterator[None]:
    """Run the application's hooks for the master, where one process is all; raises StartFailedError."""
    try:
        application.start_master()
    except Exception as error:
        raise StartFailedError(traceback.format_exc().rstrip()) from error
    try:
        yield
    finally:
        application.stop_master()


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
