"""What a master hands to the program that takes its place (SIGUSR2): sockets, generations, the board.

The process stays the same, and so do its children, its pid, its listening sockets and what waits in them;
only the program in it is started anew (execve(2)), with the arguments of the first start.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from pierhead.board import BOARD_BYTES
from pierhead.supervisor.systemd import child_environment

__all__ = ["Heritage", "is_rehearsal", "rehearse"]

_VARIABLE = "PIERHEAD_HERITAGE"
_REHEARSAL = "PIERHEAD_REHEARSAL"


@dataclasses.dataclass
class Heritage:
    """The state of a master; numbers that are file descriptors survive the exec."""

    listeners: dict[str, int] = dataclasses.field(default_factory=dict)
    """URL as it was set → descriptor."""
    generations: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    board: int = -1
    board_bytes: int = BOARD_BYTES
    """Another version's board may have another form."""
    pid_file: int = -1
    count: int = 0
    workers: int = 0
    """How many workers signals have asked for; 0: as set."""

    @classmethod
    def take(cls) -> Heritage | None:
        """Return what was handed to this process, None where nothing was."""
        text = os.environ.pop(_VARIABLE, None)
        if text is None:
            return None
        values = json.loads(text)
        if values.pop("pid") != os.getpid():
            return None  # somebody else's
        heritage = cls(**values)
        for fd in heritage.descriptors():
            os.set_inheritable(fd, False)
        return heritage

    def descriptors(self) -> Iterable[int]:
        """Return the descriptors that are handed on."""
        yield from self.listeners.values()
        yield from (generation["channel"] for generation in self.generations)
        yield from (fd for fd in (self.board, self.pid_file) if fd >= 0)

    def hand_on(self, signals: Iterable[signal.Signals]) -> None:
        """Start the program anew; returns only by OSError.

        Signals are held back until it is ready for them: their default would end it.
        """
        for fd in self.descriptors():
            os.set_inheritable(fd, True)
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        environment = dict(os.environ)
        environment[_VARIABLE] = json.dumps({"pid": os.getpid(), **dataclasses.asdict(self)})
        try:
            os.execve(sys.executable, _command(), environment)  # noqa: S606 - our own command
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            for fd in self.descriptors():
                with contextlib.suppress(OSError):
                    os.set_inheritable(fd, False)


def rehearse() -> subprocess.Popen[bytes]:
    """Start the program as it will be started, to see that it can be: it ends with 0 before it acts."""
    environment = {**child_environment(), _REHEARSAL: "1"}
    return subprocess.Popen(_command(), executable=sys.executable, env=environment, stdin=subprocess.DEVNULL)


def is_rehearsal() -> bool:
    """Tell whether this process is to end as soon as its settings are read."""
    return _REHEARSAL in os.environ


def _command() -> list[str]:
    return [sys.executable, *sys.orig_argv[1:]]
