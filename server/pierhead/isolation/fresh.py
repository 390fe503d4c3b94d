"""A fresh nursery: an interpreter of its own, which loads one application as its code is now.

A worker has the code that its generation has imported, and so has the nursery that it forks. To reload one
application alone a worker starts another interpreter, which is told what to load, and forks from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pierhead.config.apps import AppSettings
from pierhead.config.settings import unpacked
from pierhead.errors import LoadError
from pierhead.isolation.frames import FrameReader, Kind, encode
from pierhead.isolation.link import Link
from pierhead.isolation.nursery import Nursery, run_nursery, wait_for
from pierhead.isolation.pool import StartError
from pierhead.log import configure
from pierhead.supervisor.process import end_with_parent, fresh_python
from pierhead.supervisor.start import START_FAILED

if TYPE_CHECKING:
    from pierhead.config import Settings

__all__ = ["Origin", "adopt_nursery", "main", "start_nursery"]

_ORDERS_BYTES = 64 << 10
_OTHER_VERSION = "another version of the server was installed meanwhile: upgrade to it first, with SIGUSR2"


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where an application comes from: enough to load it again elsewhere."""

    app: AppSettings
    environment: Mapping[str, str]
    """The environment variables, before any application was loaded."""


async def start_nursery(origin: Origin, settings: Settings) -> Nursery:
    """Start one and return it once its application is loaded; call it in the main thread.

    Raises StartError where it does not load, or not within `start_timeout_s`, and where no process is there.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220 - for a millisecond
                fresh_python("pierhead.isolation.fresh", theirs.fileno(), os.getpid()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=origin.environment,
            )
    except OSError as error:
        ours.close()
        raise StartError(f"cannot start a process: {error}") from error
    process.returncode = 0  # the nursery waits for it
    link = Link(ours)
    try:
        link.send(Kind.LOAD, {"settings": dataclasses.asdict(settings), "app": _packed(origin.app)})
        return await _loaded(link, ours, settings)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        await asyncio.to_thread(wait_for, process.pid)
        raise


async def adopt_nursery(end: socket.socket, settings: Settings) -> Nursery:
    """Return the nursery that a seed has forked for who has this end; raises StartError where none comes."""
    return await _loaded(Link(end), end, settings)


async def _loaded(link: Link, end: socket.socket, settings: Settings) -> Nursery:
    """Wait for a nursery to have its application; closes the link and raises StartError where it has not."""
    try:
        async with asyncio.timeout(settings.start_timeout_s):
            frame = await link.read()
        if frame is None:
            raise StartError("its process ended while it was loaded")
        if "reason" in frame.facts:
            raise StartError(frame.facts["reason"])
    except BaseException as error:
        link.close()
        if isinstance(error, TimeoutError):
            raise StartError(f"not loaded within start_timeout_s={settings.start_timeout_s:g}") from None
        raise
    nursery = Nursery(frame.facts["pid"], end, settings.hang_timeout_s)
    nursery.attach(link)
    return nursery


def main(fd: int, worker: int) -> int:
    """Be a fresh nursery for a worker, which has the other end of `fd`; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end = socket.socket(fileno=fd)
    end.set_inheritable(False)
    end_with_parent(signal.SIGKILL)
    if os.getppid() != worker:
        return 1
    reader = FrameReader()
    while not (frames := reader.feed(data := end.recv(_ORDERS_BYTES))):
        if not data:
            return 1
    orders = frames[0].facts
    settings = unpacked(orders["settings"])
    if settings is None:
        end.sendall(encode(Kind.LOADED, {"reason": _OTHER_VERSION}))
        return START_FAILED
    configure(settings, "nursery")
    from pierhead.interfaces.configured import load_app

    try:
        application = load_app(_unpacked(orders["app"]))
    except LoadError as error:
        end.sendall(encode(Kind.LOADED, {"reason": str(error)}))
        return START_FAILED
    gc.collect()
    gc.freeze()  # what is shared with the processes stays shared: the collector does not touch it
    end.sendall(encode(Kind.LOADED, {"pid": os.getpid()}))
    run_nursery(end, [application], settings)
    return 0


def _packed(app: AppSettings) -> dict[str, Any]:
    return {**dataclasses.asdict(app), "folder": str(app.folder)}


def _unpacked(values: dict[str, Any]) -> AppSettings:
    return AppSettings(**{**values, "folder": Path(values["folder"])})
