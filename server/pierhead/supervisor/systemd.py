"""systemd's protocols: sockets it passes (sd_listen_fds(3)) and what it wants to be told (sd_notify(3)).

Without systemd, or a manager that does the same, all of it does nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

__all__ = ["child_environment", "notify", "passed_urls", "watchdog_interval_s"]

_FIRST_FD = 3
_PATIENCE_S = 1.0  # a manager that does not listen holds nobody up for longer
_OURS = frozenset(
    {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
)


def passed_urls(
    listen: tuple[str, ...], default: tuple[str, ...], environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Return what to listen on: `listen`, and the sockets passed to this process that it does not name.

    They are served as HTTP. Where nothing but the `default` is set, the sockets take its place.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()) or not environ.get("LISTEN_FDS", "").isdecimal():
        return listen
    numbers = range(_FIRST_FD, _FIRST_FD + int(environ["LISTEN_FDS"]))
    named = {url.partition("?")[0].rpartition("fd:")[2].strip("/") for url in listen if "fd:" in url}
    passed = tuple(f"fd://{number}" for number in numbers if str(number) not in named)
    return passed if passed and listen == default else listen + passed


def notify(*lines: str) -> None:
    """Tell the manager: `READY=1`, `STATUS=...`; RELOADING=1 gets the time it must have.

    A manager that is busy is waited for, but not long; for WATCHDOG=1, which comes again, not at all.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if "RELOADING=1" in lines:
        lines = (*lines, f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        # The queue of such a socket is short. What the manager has to know is not lost because it was full.
        sender.settimeout(0 if lines == ("WATCHDOG=1",) else _PATIENCE_S)
        sender.sendto("\n".join(lines).encode(), address)


def watchdog_interval_s() -> float:
    """Return how often WATCHDOG=1 is to be sent: twice as often as demanded; 0 where it is not."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or not microseconds.isdecimal():
        return 0.0
    return int(microseconds) / 2e6


def child_environment() -> dict[str, str]:
    """Return the environment without what is meant for this process alone."""
    return {name: value for name, value in os.environ.items() if name not in _OURS}
