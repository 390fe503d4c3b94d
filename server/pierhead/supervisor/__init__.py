"""Processes, sockets and signals; knows neither HTTP nor applications, but for the worker.

    master ──► generation ──► worker, worker, ...

The master binds the listeners and never imports the application. A generation is a fresh process that
imports it and forks the workers. A reload is a new generation; the old one drains once the new one is ready.

A process that is started for one connection (`stdio:`, CGI) has none of this: see `once`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from pierhead.config import Settings

__all__ = ["is_for_once", "read_certificates", "run"]


def read_certificates(settings: Settings) -> None:
    """Read the certificates where a listener needs them; raises `pierhead.transports.tls.CertificateError`.

    Processes that are forked from this one have them, even where they may not read the keys.
    """
    if any(url.startswith("https:") for url in settings.listen):
        from pierhead.transports.tls import load_certificates

        load_certificates(settings)


def is_for_once(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Tell whether the process is for one connection: by its listener (`stdio:`), or by who started it.

    A web server that starts a program by CGI sets GATEWAY_INTERFACE (RFC 3875, 4.1.4). A listener that is set
    says that the program is a server nevertheless.
    """
    if settings.listen == ("stdio:",):
        return True
    started_for_a_request = environment.get("GATEWAY_INTERFACE", "").startswith("CGI/")
    return started_for_a_request and settings.listen == Settings().listen


def run(settings: Settings) -> int:
    """Serve until a signal ends it; returns the exit code.

    0: stopped as asked. 1: failed while running. 3: the application did not load or start. 4: a listener
    could not be bound.
    """
    if is_for_once(settings, os.environ):
        from pierhead.supervisor.once import run_once

        return run_once(settings)
    if hasattr(os, "fork"):
        from pierhead.supervisor.heritage import is_rehearsal
        from pierhead.supervisor.master import Master
        from pierhead.supervisor.process import available_cores

        if is_rehearsal():  # for a master that is to be upgraded: it sees that all this can be imported
            return 0
        settings = dataclasses.replace(settings, workers=settings.workers or available_cores())
        return Master(settings).run()
    from pierhead.supervisor.single import run_single

    return run_single(settings)
