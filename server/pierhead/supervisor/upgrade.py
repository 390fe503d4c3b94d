"""An upgrade (SIGUSR2): the program of the master is tried, and then takes its place in the same process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Iterable

from pierhead.log import facts
from pierhead.supervisor import systemd
from pierhead.supervisor.heritage import Heritage, rehearse

__all__ = ["Upgrade"]

logger = logging.getLogger("pierhead.master")


class Upgrade:
    """At most one at a time: `prepare` it, hear of its rehearsal's end by `rehearsed`, and `carry_out`."""

    def __init__(self) -> None:
        self._rehearsal: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Start the new program as a process that ends once it has read its settings."""
        if self._rehearsal is not None:
            return
        logger.info("upgrading: the new program is tried first", extra=facts("upgrade"))
        try:
            self._rehearsal = rehearse()
        except OSError as error:
            _failed(str(error))

    def is_rehearsal(self, pid: int) -> bool:
        """Tell whether this process is the new program that is being tried."""
        return self._rehearsal is not None and self._rehearsal.pid == pid

    def rehearsed(self, status: int) -> bool:
        """Take note of the rehearsal's end; returns whether the new program can do it."""
        assert self._rehearsal is not None
        code = self._rehearsal.returncode = os.waitstatus_to_exitcode(status)
        self._rehearsal = None
        if code:
            _failed(f"the new program ended with code {code}")
        return not code

    def carry_out(self, heritage: Heritage, signals: Iterable[signal.Signals]) -> None:
        """Put the new program in this one's place; returns only where that fails."""
        systemd.notify("RELOADING=1", "STATUS=upgrading")
        try:
            heritage.hand_on(signals)
        except OSError as error:
            systemd.notify("READY=1", "STATUS=upgrade failed")
            _failed(str(error))


def _failed(why: str) -> None:
    logger.error("upgrade failed: %s; this program goes on", why, extra=facts("upgrade_failed", reason=why))
