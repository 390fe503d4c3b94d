"""What may happen to a running stack: a reload, a roll, a replica that is killed, a database restart."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.parse
from pathlib import Path

from stack import postgres, proxies
from stack.application import application
from stack.errors import KitError
from stack.lifecycle import DATABASE_TIMEOUT_S, START_TIMEOUT_S, STOP_TIMEOUT_S, Signals, launch, wait
from stack.process import HAS_PROC
from stack.service import Service
from stack.state import Record, Run, State

__all__ = ["FAULTS", "cause", "roll"]

FAULTS = ("reload", "roll", "kill", "database")
RELOAD_SIGNALS = {"nginx": signal.SIGHUP, "apache": signal.SIGUSR1}
RELOAD_S = 30.0
DOWN_S = 1.0  # how long a replica is away
POLL_S = 0.05


def cause(state: State, fault: str, role: str) -> str:
    """Do one of FAULTS to the stack, the proxy `role` where it is about one; return in words what was done.

    Afterwards everything runs again. Raises KitError.
    """
    run = state.load()
    if run is None:
        raise KitError("the stack is not running, so nothing can happen to it")
    if run.kit is not None:
        raise KitError("another kit follows this stack and would stop it; start it with ./kit up --detach")
    match fault:
        case "reload":
            return reload(run, role)
        case "roll":
            return roll(run)
        case "kill":
            return kill(state, run)
        case "database":
            return restart_database(state, run)
    raise KitError(f"there is no fault {fault!r}; there are: {', '.join(FAULTS)}")


def of_role(run: Run, role: str) -> list[Record]:
    """Return the processes of a role. Raises KitError if there are none."""
    if not (found := [record for record in run.records if record.role == role]):
        raise KitError(f"{role} is not running")
    return found


def reload(run: Run, role: str) -> str:
    """Have a proxy read its configuration again."""
    (record,) = of_role(run, role)
    if role in RELOAD_SIGNALS:
        record.process.signal(RELOAD_SIGNALS[role])
        return f"{role} was told to reload ({RELOAD_SIGNALS[role].name})"
    if record.more.get("admin") == "off":
        raise KitError(
            "Caddy cannot be reloaded: the path of its socket is too long, or has a space (KIT_STATE)"
        )
    upstreams = [urllib.parse.urlsplit(one.url).netloc for one in of_role(run, "app")]
    # Caddy's own folder is where it was started.
    folder = Path(os.path.realpath(f"/proc/{record.process.pid}/cwd")) if HAS_PROC else None
    if folder is None:
        raise KitError("Caddy's folder is known on Linux only, so that it cannot be reloaded here")
    service = proxies.caddy(folder.parent, port_of(record), upstreams)
    command = proxies.reload_command(service)
    assert command is not None
    result = subprocess.run(
        command, env=dict(service.env), cwd=service.cwd, capture_output=True, text=True, check=False,
        timeout=RELOAD_S,
    )  # fmt: skip
    if result.returncode:
        raise KitError(f"Caddy did not reload: {result.stderr.strip()}")
    return "caddy was reloaded"


def roll(run: Run) -> str:
    """Have each replica load the application anew, one after the other."""
    for record in of_role(run, "app"):
        before = generations(record)
        record.process.signal(signal.SIGHUP)
        deadline = time.monotonic() + START_TIMEOUT_S + STOP_TIMEOUT_S
        while not (now := generations(record)) or now & before:
            if time.monotonic() > deadline:
                raise KitError(f"{record.name} still runs what it ran before; its log: {record.log}")
            time.sleep(POLL_S)
    return "all replicas loaded the application anew, one after the other"


def generations(record: Record) -> set[int]:
    """Return the processes that a replica's master has started itself: one, and two while it is reloading."""
    if not HAS_PROC:
        raise KitError("the processes of a replica are known on Linux only, so that it cannot be rolled here")
    place = Path(f"/proc/{record.process.pid}/task/{record.process.pid}/children")
    try:
        return set(map(int, place.read_text(encoding="ascii").split()))
    except OSError as error:
        raise KitError(f"{record.name} is not running any more") from error


def kill(state: State, run: Run) -> str:
    """Kill the last replica without a word, and start it again a moment later."""
    record = of_role(run, "app")[-1]
    number = int(record.name.rpartition("-")[2])
    (database,) = of_role(run, "db")
    record.process.kill()
    wait([record], STOP_TIMEOUT_S, lambda: False)
    time.sleep(DOWN_S)
    again(state, run, record, application(state, number, port_of(record), database.url))
    return f"{record.name} was killed, and was back after {DOWN_S:g} s and its start"


def restart_database(state: State, run: Run) -> str:
    """Restart PostgreSQL, which ends all connections."""
    (record,) = of_role(run, "db")
    record.process.signal(signal.Signals[record.stop_signal])
    wait([record], DATABASE_TIMEOUT_S, lambda: False)
    if not record.process.gone():
        raise KitError(f"PostgreSQL does not stop; its log: {record.log}")
    work = state.work(postgres.account(), proxies.account())
    again(state, run, record, postgres.service(state, work, port_of(record)))
    return "PostgreSQL was restarted"


def again(state: State, run: Run, record: Record, service: Service) -> None:
    """Start what has ended again, in its place of the stack."""
    place = run.records.index(record)
    run.records.remove(record)
    launch(state, run, [service], Signals())
    run.records.insert(place, run.records.pop())
    state.save(run)


def port_of(record: Record) -> int:
    """Return the port that a process listens on. Raises KitError."""
    port = urllib.parse.urlsplit(record.url).port
    if port is None:
        raise KitError(f"{record.name} has no port: {record.url}")
    return port
