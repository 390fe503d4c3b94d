"""Processes, sockets and signals; knows neither HTTP nor applications, but for the worker.

    master ──► generation ──► worker, worker, ...

The master binds the listeners and never imports the application. A generation is a fresh process that
imports it and forks the workers. A reload is a new generation; the old one drains once the new one is ready.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pierhead.config import Settings

__all__ = ["run"]


def run(settings: Settings) -> int:
    """Serve until a signal ends it; returns the exit code.

    0: stopped as asked. 1: failed while running. 3: the application did not load or start. 4: a listener
    could not be bound.
    """
    if hasattr(os, "fork"):
        from pierhead.supervisor.master import Master
        from pierhead.supervisor.process import available_cores

        settings = dataclasses.replace(settings, workers=settings.workers or available_cores())
        return Master(settings).run()
    from pierhead.supervisor.single import run_single

    return run_single(settings)
