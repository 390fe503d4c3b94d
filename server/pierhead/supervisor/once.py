"""A process for one connection: on standard input and output, by HTTP (`stdio:`) or by CGI.

`stdio:` is for programs that accept connections themselves and start a process for each: inetd, systemd
(`Accept=yes`), or a pipe in a shell. By CGI (RFC 3875) a web server starts one for each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import socket
import stat
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple

from pierhead.errors import LoadError
from pierhead.health import Health
from pierhead.log import configure
from pierhead.supervisor.start import START_FAILED, StartFailedError, master_hooks, new_loop
from pierhead.transports.server import Server
from pierhead.transports.stdio import StreamTransport

if TYPE_CHECKING:
    from pierhead.accesslog import AccessLog
    from pierhead.config import Settings
    from pierhead.interfaces.base import Application

__all__ = ["run_application_once", "run_once"]

_STDIO = ("stdio:",)

logger = logging.getLogger("pierhead.once")


class _Streams(NamedTuple):
    """The descriptors of what were standard input and output."""

    reader_fd: int
    writer_fd: int


def run_once(settings: Settings) -> int:
    """Load the application and serve one connection; returns 0, or 3 where it does not load or start."""
    streams = _take_streams()
    configure(settings, "server")
    from pierhead.interfaces.configured import load_configured

    try:
        application = load_configured(settings)
    except LoadError as error:
        logger.error("cannot serve %s\n%s", settings.app, error)  # noqa: TRY400 - it has the traceback
        return START_FAILED
    return _run(application, settings, streams)


def run_application_once(application: Application, settings: Settings) -> int:
    """Serve one connection; returns 0, or 3 where the application does not start."""
    return _run(application, settings, _take_streams())


def _take_streams() -> _Streams:
    """Keep the standard streams for the connection: what the application prints goes to standard error."""
    streams = _Streams(os.dup(0), os.dup(1))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout.flush()  # only now: what was printed before, at an import, say, is no part of a response
    return streams


def _run(application: Application, settings: Settings, streams: _Streams) -> int:
    if settings.access_log == "-":  # that is the response now; who started the process keeps a log of its own
        settings = dataclasses.replace(settings, access_log="off")
    # For one connection the loop of asyncio, which is loaded anyhow: with uvloop the start takes longer.
    loop = "asyncio" if settings.loop == "auto" else settings.loop
    try:
        with master_hooks(application), asyncio.Runner(loop_factory=lambda: new_loop(loop)) as runner:
            runner.run(_serve(application, settings, streams))
    except StartFailedError as error:
        logger.error("the application did not start\n%s", error)  # noqa: TRY400 - it has the traceback
        return START_FAILED
    return 0


async def _serve(application: Application, settings: Settings, streams: _Streams) -> None:
    access_log = _access_log(settings)
    server: Server
    health = Health(application, lambda: server.ready, settings.health_path, settings.ready_path)
    server = Server(health, settings, record=None if access_log is None else access_log.record)
    try:
        async with asyncio.timeout(settings.start_timeout_s):
            await server.start()
    except Exception as error:
        raise StartFailedError(traceback.format_exc().rstrip()) from error
    try:
        await _connect(server, streams)
        finished = asyncio.ensure_future(server.finished())
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, finished.cancel)
        await asyncio.wait([finished])
        await server.drain(settings.drain_timeout_s)
    finally:
        await server.close()
        if access_log is not None:
            access_log.close()


def _access_log(settings: Settings) -> AccessLog | None:
    if settings.access_log == "off":
        return None
    from pierhead.accesslog import AccessLog

    return AccessLog(settings)


async def _connect(server: Server, streams: _Streams) -> None:
    if server.settings.listen != _STDIO:
        from pierhead.transports.gateway import CgiConnection

        environment = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
        StreamTransport(CgiConnection(server, environment), *streams).begin()
    elif _is_one_socket(streams):
        accepted = socket.socket(fileno=streams.reader_fd)
        os.close(streams.writer_fd)
        accepted.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(server.connect, accepted)
    else:
        StreamTransport(server.connect(), *streams).begin()


def _is_one_socket(streams: _Streams) -> bool:
    reading, writing = os.fstat(streams.reader_fd), os.fstat(streams.writer_fd)
    return stat.S_ISSOCK(reading.st_mode) and os.path.samestat(reading, writing)
