"""One process, no master: for systems without fork, and for `pierhead.Server` in a program of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pierhead.board import Board, Desk
from pierhead.errors import ConfigError, LoadError
from pierhead.interfaces.configured import load_configured
from pierhead.isolation.choose import prepare
from pierhead.log import configure
from pierhead.supervisor import read_certificates
from pierhead.supervisor.listeners import BindError, Listener, bind, listener_url, unlink
from pierhead.supervisor.start import START_FAILED, StartFailedError, master_hooks, new_loop
from pierhead.supervisor.worker import serve_until

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.interfaces.base import Application
    from pierhead.isolation.layer import Isolation

__all__ = ["run_application", "run_single"]

logger = logging.getLogger("pierhead.single")


def run_single(settings: Settings) -> int:
    """Load the application and serve it in this process; returns the exit code."""
    configure(settings, "server")
    try:
        application = load_configured(settings)
    except LoadError as error:
        logger.error("cannot serve %s\n%s", settings.app, error)  # noqa: TRY400 - it has the traceback
        return START_FAILED
    return run_application(application, settings)


def run_application(application: Application, settings: Settings) -> int:
    """Serve an application in this process until SIGINT or SIGTERM; returns the exit code."""
    sockets: list[Listener] = []
    try:
        read_certificates(settings)
        for url in (*settings.listen, settings.metrics_listen):
            if not url:
                continue
            sockets.append(bind(url, settings.backlog))
        with master_hooks(application):
            isolation = prepare(application, settings, sockets)
            with asyncio.Runner(loop_factory=lambda: new_loop(settings.loop)) as runner:
                runner.run(_serve(application, settings, sockets, isolation))
    except BindError as error:
        print(f"pierhead: {error}", file=sys.stderr)
        return 4
    except ConfigError as error:
        print(f"pierhead: {error}", file=sys.stderr)
        return 2
    except StartFailedError as error:
        logger.error("the application did not start\n%s", error)  # noqa: TRY400 - it has the traceback
        return START_FAILED
    finally:
        for bound in sockets:
            unlink(bound)
            bound.close()
    return 0


async def _serve(
    application: Application, settings: Settings, sockets: Sequence[Listener], isolation: Isolation | None
) -> None:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[bool] = loop.create_future()

    def leave(*_: object) -> None:
        if not stop.done():
            stop.set_result(True)

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, leave)

    def ready() -> None:
        logger.info("ready on %s (one process)", ", ".join(listener_url(bound) for bound in sockets))

    desk = Desk(Board(), 0, 1)
    await serve_until(stop, application, settings, sockets, ready, desk, isolation)
