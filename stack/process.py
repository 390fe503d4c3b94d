"""Processes that outlive the kit: starting one, knowing it again, and ending it, never a stranger.

A process id alone names nobody: after a crash or a reboot it may belong to anything. So each process is
recorded together with an identity that no later process can have, and looked at again right before a signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stack.errors import KitError

__all__ = ["HAS_PROC", "Account", "Process", "describe_exit", "find", "identity", "start"]

PROC = Path("/proc")
HAS_PROC = (PROC / "self" / "stat").exists()


@dataclass(frozen=True)
class Account:
    """A user of the system that a process runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Process:
    """A process we started, leader of a session of its own: its id, who it is, and its program."""

    pid: int
    identity: str
    program: str

    def as_json(self) -> dict[str, str | int]:
        """Return what `find` needs, for a file."""
        return asdict(self)

    def alive(self) -> bool:
        """Tell whether it (not just somebody with its number) runs."""
        return self.status() is None and identity(self.pid) == self.identity

    def status(self) -> int | None:
        """Return its wait status if it was started here and has ended."""
        if self not in ended:
            with contextlib.suppress(ChildProcessError):  # started by another kit: init collects it
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    ended[self] = status
        return ended.get(self)

    def signal(self, number: int) -> bool:
        """Send a signal to it; False if it is gone."""
        return send(self.pid, self.identity, number)

    def members(self) -> list[int]:
        """Return the ids of its session: itself and what it started, also after its own death."""
        if not HAS_PROC:
            return [self.pid] if self.alive() else []
        if (now := identity(self.pid)) is not None and now != self.identity:
            return []  # the number belongs to somebody else, and so does the session of that number
        return [pid for pid in all_pids() if session(pid) == self.pid and program(pid) == self.program]

    def kill(self) -> None:
        """End it and all that it started, at once."""
        for pid in self.members():
            if (who := identity(pid)) is not None:
                send(pid, who, signal.SIGKILL)

    def gone(self) -> bool:
        """Tell whether it and all that it started have ended."""
        return not self.alive() and not self.members()


ended: dict[
    Process, int
] = {}  # children that were collected, with their wait status: it can be had only once


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path,
    account: Account | None = None,
) -> Process:
    """Start a program in a session of its own, so that Ctrl-C reaches only the kit; its output goes to `log`.

    Raises KitError if it cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    try:
        with log.open("ab") as output:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
    except OSError as error:
        raise KitError(f"cannot start {argv[0]}: {error.strerror or error}") from error
    child.returncode = 0  # we look after it ourselves: Process.alive, describe_exit
    who = identity(child.pid)
    return Process(child.pid, who or "ended at once", program(child.pid))


def find(data: Mapping[str, object]) -> Process:
    """Return the process that `Process.as_json` wrote down. Raises KitError if this is not such a record."""
    match data:
        case {"pid": int(pid), "identity": str(who), "program": str(name)} if pid > 1:
            return Process(pid, who, name)
    raise KitError(f"not a record of a process: {data!r}")


def identity(pid: int) -> str | None:
    """Return what tells this process from every other one that ever had its number; None if it does not run.

    On Linux: the boot, and the tick at which it started; elsewhere, its start and command as `ps` says.
    """
    if HAS_PROC:
        if (fields := stat(pid)) is None or fields[0] in "ZX":
            return None
        return f"{boot()}/{fields[19]}"
    command = ["ps", "-ww", "-o", "stat=,lstart=,command=", "-p", str(pid)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    state, _, rest = result.stdout.strip().partition(" ")
    return rest.strip() if rest and "Z" not in state else None


def describe_exit(status: int) -> str:
    """Say in words what a wait status means."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def send(pid: int, who: str, number: int) -> bool:
    """Send a signal to a process if it still is who we mean; False if not."""
    try:
        # While the handle is open, the number can't pass to another process between the look and the signal.
        handle = os.pidfd_open(pid) if HAS_PROC else None
    except ProcessLookupError:
        return False
    except OSError:  # a kernel without them
        handle = None
    try:
        if identity(pid) != who:
            return False
        if handle is None:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise KitError(f"process {pid} belongs to another user; stop it as that user") from error
    finally:
        if handle is not None:
            os.close(handle)
    return True


def stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name: state, parent, group, session, ... (proc(5))."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def session(pid: int) -> int | None:
    """Return the session of a process that runs."""
    fields = stat(pid)
    return int(fields[3]) if fields and fields[0] not in "ZX" else None


def program(pid: int) -> str:
    """Return the file that a process executes, or nothing if that is not for us to know."""
    try:
        return str((PROC / str(pid) / "exe").readlink())
    except OSError:
        return ""


def all_pids() -> list[int]:
    """Return the numbers of all processes."""
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def boot() -> str:
    """Return a name for this run of the system, since start times begin anew with each."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return str(int(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) // 60)
