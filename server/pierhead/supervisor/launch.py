"""Starts a generation: a fresh process with the sockets, the board and one end of a control channel."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from typing import Any

from pierhead.board import Cell, State
from pierhead.config import Settings
from pierhead.supervisor.channel import Channel
from pierhead.supervisor.holdings import Holdings
from pierhead.supervisor.process import fresh_python
from pierhead.supervisor.systemd import child_environment

__all__ = ["Generation", "launch"]


@dataclasses.dataclass
class Generation:
    """A generation as the master sees it."""

    number: int
    pid: int
    channel: Channel
    block: int
    """Of the board: its rows and its workers'."""
    deadline: float
    """When it must be ready; then, once it leaves, when it must be gone: on the monotonic clock."""
    ready: bool = False
    leaving: bool = False
    failed: bool = False
    why: str = ""
    """Why it failed, in a line."""
    asked: list[int] = dataclasses.field(default_factory=list)
    """The tickets of those who wait for it to reload one application, see `Reception`."""
    process: subprocess.Popen[bytes] | None = None
    """None where the program that ran here before started it."""

    @property
    def serves(self) -> bool:
        """Whether it takes new connections, and will go on doing so."""
        return self.ready and not self.leaving

    @property
    def is_starting(self) -> bool:
        """Whether it is on its way to be ready."""
        return not self.ready and not self.leaving

    def pack(self) -> dict[str, Any]:
        """Return what another program needs to go on with it in this process."""
        facts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**facts, "channel": self.channel.fileno(), "process": None}

    @classmethod
    def unpack(cls, facts: dict[str, Any]) -> Generation:
        """Return a generation that another program packed."""
        return cls(**{**facts, "channel": Channel.from_fd(facts["channel"])})

    def buried(self, status: int) -> None:
        """Take note of its end."""
        self.channel.close()
        if self.process is not None:
            self.process.returncode = os.waitstatus_to_exitcode(status)


def launch(number: int, settings: Settings, holdings: Holdings, block: int) -> Generation:
    """Start the process; raises OSError where there is none to be had."""
    ours, theirs = Channel.pair()
    listeners = holdings.sockets
    command = fresh_python("pierhead.supervisor.generation", theirs.fileno())
    try:
        process = subprocess.Popen(
            command,
            pass_fds=[*listeners, holdings.board_fd, theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=child_environment(),
            process_group=0,  # Ctrl-C in a terminal reaches the master alone
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    cells = holdings.board.row(block, 0).cells
    cells[Cell.PID] = process.pid
    cells[Cell.BORN_NS] = cells[Cell.BEAT_NS] = time.monotonic_ns()
    cells[Cell.STATE] = State.STARTING
    ours.send(
        settings=dataclasses.asdict(settings), listeners=listeners, board=holdings.board_fd, block=block
    )
    deadline = time.monotonic() + settings.start_timeout_s + 5.0
    return Generation(number, process.pid, ours, block, deadline, process=process)
