"""A worker: one process with one event loop that serves requests until it is told to leave."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import pierhead.protocols.http1.judge
import pierhead.transports.websocket  # noqa: F401 - before the fork: rarely used, and shared by all
from pierhead.accesslog import AccessLog
from pierhead.admission import LINE_SETTINGS, Admission, publish
from pierhead.board import Cell, Desk, Row, State
from pierhead.config.listen import ListenURL, OwnLimits
from pierhead.forwarded import Forwarding
from pierhead.health import Health
from pierhead.isolation.choose import prepare
from pierhead.latest import Latest
from pierhead.log import configure, facts
from pierhead.metrics import Metrics
from pierhead.supervisor.pulse import Pulse
from pierhead.supervisor.report import report
from pierhead.supervisor.start import START_FAILED, StartFailedError, new_loop
from pierhead.transports.acceptor import Share
from pierhead.transports.descriptors import raise_limit
from pierhead.transports.server import Server

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.interfaces.base import Application
    from pierhead.isolation.layer import Isolation
    from pierhead.supervisor.channel import Channel

__all__ = ["run_worker", "serve_until"]

logger = logging.getLogger("pierhead.worker")

_SCRAPERS = 16


def run_worker(
    application: Application,
    settings: Settings,
    sockets: Sequence[socket.socket],
    channel: Channel,
    desk: Desk,
) -> NoReturn:
    """Serve in this forked process and exit: 0 after draining, 3 if the application did not start, 1 else.

    On the channel it says `ready` or `failed`, and hears `going_away`: it is to leave, as the server stops or
    (false) restarts; and `reload_app`, which it answers with `reloaded_app`. SIGTERM drains as well, a second
    one exits at once; the channel's end means that the parent is gone, and drains.
    """
    code = 1
    configure(settings, "worker")
    raise_limit()
    try:
        isolation = prepare(application, settings, [*sockets, channel])
        with asyncio.Runner(loop_factory=lambda: new_loop(settings.loop)) as runner:
            code = runner.run(_work(application, settings, sockets, channel, desk, isolation))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # not through the frames and exit handlers of the process this one was forked from
    except BaseException:
        logger.critical("worker failed", exc_info=True, extra=facts("worker_failed"))
    finally:
        os._exit(code)


async def _work(
    application: Application,
    settings: Settings,
    sockets: Sequence[socket.socket],
    channel: Channel,
    desk: Desk,
    isolation: Isolation | None,
) -> int:
    stop: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def leave(going_away: bool) -> None:
        if not stop.done():
            stop.set_result(going_away)

    def terminate() -> None:
        if stop.done():
            os._exit(1)  # asked twice
        leave(True)

    def reload_app(name: str, *, first: bool, end: socket.socket | None) -> None:
        def tell(failed: str) -> None:
            channel.send(reloaded_app=name, failed=failed)

        if isolation is not None and not stop.done():
            isolation.begin_reload(name, end, tell, first=first)
        elif end is not None:
            end.close()

    def hear() -> None:
        messages = channel.receive()
        if messages is None:
            loop.remove_reader(channel.fileno())
            leave(True)
            return
        for message in messages:
            if "reload_app" in message:
                end = socket.socket(fileno=channel.take_file()) if message["end"] else None
                reload_app(message["reload_app"], first=message["first"], end=end)
            else:
                leave(bool(message.get("going_away", True)))

    loop.add_signal_handler(signal.SIGTERM, terminate)
    loop.add_reader(channel.fileno(), hear)

    def ready() -> None:
        channel.send(ready=True)

    try:
        cut = await serve_until(stop, application, settings, sockets, ready, desk, isolation)
    except StartFailedError as error:
        channel.send(failed=str(error))
        return START_FAILED
    if cut:
        logger.warning(
            "cut %d connections that did not finish in drain_timeout_s",
            cut,
            extra=facts("drain_cut", connections=cut),
        )
    return 0


async def serve_until(
    stop: asyncio.Future[bool],
    application: Application,
    settings: Settings,
    sockets: Sequence[socket.socket],
    ready: Callable[[], None],
    desk: Desk,
    isolation: Isolation | None = None,
) -> int:
    """Serve, call `ready`, and drain once `stop` is set; returns how many connections had to be cut.

    `stop`'s result says whether the server goes away (True) or restarts. At its desk the process writes down
    how it does. `isolation` has what is isolated of the application. Raises StartFailedError.
    """
    row = desk.row
    share = Share(row)
    ours, for_metrics = sockets[: len(settings.listen)], sockets[len(settings.listen) :]
    async with contextlib.AsyncExitStack() as stack:
        publishers: list[Callable[[Row], None]] = [lambda _: share.know(desk.everybody_else())]
        if isolation is not None:
            isolation.attach()
            stack.push_async_callback(isolation.close)
            publishers.append(isolation.publish)
        access_log = _open_access_log(settings)
        stack.callback(access_log.close)
        server, lines = _make_server(Latest(application, row), settings, access_log, share)
        stack.push_async_callback(_close, server, settings.drain_timeout_s)
        if not await _start(server, ours, settings, stop):
            return 0
        if for_metrics:
            monitor = Server(Metrics(desk.board), dataclasses.replace(settings, max_connections=_SCRAPERS))
            await monitor.serve(for_metrics, [settings.metrics_listen])
            stack.push_async_callback(monitor.close)
            stack.push_async_callback(monitor.drain, 0.0)
        pulse = Pulse(desk, [partial(report, server), partial(publish, lines), *publishers], share.meet)
        pulse.start()
        stack.callback(pulse.stop)
        row.cells[Cell.STATE] = State.SERVING
        ready()
        going_away = await stop
        row.cells[Cell.STATE] = State.LEAVING
        return await server.drain(settings.drain_timeout_s, going_away=going_away)


def _open_access_log(settings: Settings) -> AccessLog:
    try:
        return AccessLog(settings)
    except OSError as error:
        raise StartFailedError(f"cannot write access_log {settings.access_log}: {error.strerror}") from error


async def _start(
    server: Server, sockets: Sequence[socket.socket], settings: Settings, stop: asyncio.Future[bool]
) -> bool:
    """Start the server; False where it is to stop before it has. Raises StartFailedError."""
    start = asyncio.ensure_future(server.serve(sockets, settings.listen))
    events: list[asyncio.Future[Any]] = [start, stop]
    await asyncio.wait(events, timeout=settings.start_timeout_s, return_when=asyncio.FIRST_COMPLETED)
    if not start.done():
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)  # what was started is stopped
        if stop.done():
            return False
        raise StartFailedError(
            f"the application did not start within start_timeout_s={settings.start_timeout_s:g}"
        )
    if (failure := start.exception()) is not None:
        raise StartFailedError("".join(traceback.format_exception(failure)).rstrip()) from failure
    return True


async def _close(server: Server, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s or None):
            await server.close()


def _make_server(
    application: Application, settings: Settings, access_log: AccessLog, share: Share
) -> tuple[Server, list[Admission]]:
    """Return the server, and the lines that requests wait in: the common one, and listeners' own."""
    server: Server

    def admit(settings: Settings) -> tuple[Admission, Health]:
        line = Admission(application, settings)
        return line, Health(line, lambda: server.ready, settings.health_path, settings.ready_path)

    line, health = admit(settings)
    record = access_log.record if settings.access_log != "off" else None
    server = Server(health, settings, forwarding=Forwarding(settings), record=record, share=share)
    line.serve(server.in_flight)
    lines: dict[OwnLimits, Admission] = {(): line}
    for listener in map(ListenURL.parse, settings.listen):
        if listener.limits not in lines and not LINE_SETTINGS.isdisjoint(dict(listener.limits)):
            line, health = admit(dataclasses.replace(settings, **dict(listener.limits)))
            line.serve(server.limits_of(listener.limits, health).in_flight)
            lines[listener.limits] = line
    return server, list(lines.values())
