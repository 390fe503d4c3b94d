"""The commands about the running stack: up, down, status, logs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from stack import postgres, proxies
from stack.application import application
from stack.database import migrate, set_up_roles
from stack.errors import Interrupted, KitError
from stack.lifecycle import Signals, launch, obituary, stop
from stack.logs import Follower, labelled, tail
from stack.ports import choose
from stack.process import Process, identity, program
from stack.service import Service
from stack.state import Run, State
from stack.status import status, table

__all__ = ["NEEDS", "ROLES", "down", "logs", "show_status", "up", "with_needs"]

# Role -> the roles that it cannot run without; in the order of their start.
NEEDS = {"db": (), "app": ("db",), "caddy": ("db", "app"), "nginx": ("db", "app"), "apache": ("db", "app")}
ROLES = tuple(NEEDS)
BUSY = "Another kit is starting or stopping this stack; waiting for it ..."
FOLLOW_S = 0.1
OTHER_KIT_TIMEOUT_S = 100.0


def with_needs(only: Sequence[str]) -> list[str]:
    """Return the roles to start when only some are wanted: these, and what they need."""
    wanted = set(only or ROLES)
    for role in tuple(wanted):
        wanted.update(NEEDS[role])
    return [role for role in ROLES if role in wanted]


def up(state: State, roles: Sequence[str], auto: bool, ports: dict[str, int], *, detach: bool) -> int:
    """Start the stack; stay and follow its logs unless `detach`. Returns the exit code. Raises KitError."""
    state.make()
    with Signals().caught() as signals:
        with state.locked(BUSY):
            if run := already_up(state, signals):
                running = {record.name.partition("-")[0] for record in run.records}
                if missing := [role for role in roles if role not in running and role != "apache"]:
                    # Apache does not count: it may not be installed.
                    without = ", ".join(missing)
                    raise KitError(
                        f"the stack is up without {without}; stop it first: ./kit down, then this again"
                    )
                print(f"The stack is already up since {run.started}; ./kit down stops it.\n\n{table(run)}")
                return 0
            me = Process(os.getpid(), identity(os.getpid()) or "", program(os.getpid()))
            run = Run(kit=me, started=datetime.now(UTC).isoformat(timespec="seconds"))
            try:
                bring_up(state, run, roles, auto, ports, signals)
                if detach:
                    run.kit = None
                    state.save(run)
            except BaseException as error:
                if isinstance(error, BrokenPipeError):
                    to_nowhere()  # or what `stop` says would keep it from stopping anything
                print("Stopping what was started ...", file=sys.stderr, flush=True)
                stop(run, signals)
                state.forget()
                if signals.count or isinstance(error, Interrupted):
                    return 130
                raise
        greeting = "\n".join(["", table(run), "", *run.notes]).rstrip()
        if detach:
            print(f"{greeting}\n\nLogs: {state.logs}. Stop with ./kit down")
            return 0
        return follow_until_end(state, run, signals, greeting)


def to_nowhere() -> None:
    """Drop what is printed from now on: nobody reads it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def already_up(state: State, signals: Signals) -> Run | None:
    """Return what runs if all of it does; else clear away what is left of an earlier run."""
    run = state.load()
    if run is None:
        return None
    if run.records and all(record.process.alive() for record in run.records):
        return run
    if left := [record for record in run.records if not record.process.gone()]:
        dead = [record.name for record in run.records if not record.process.alive()]
        print(f"Not all of the stack runs any more ({', '.join(dead)} ended): starting it anew", flush=True)
        stop(Run(None, run.started, left), signals)
    state.forget()
    return None


def bring_up(
    state: State, run: Run, roles: Sequence[str], auto: bool, chosen: dict[str, int], signals: Signals
) -> None:
    """Start the roles in order, each when those it needs are well. Raises KitError, Interrupted."""
    roles = list(roles)
    if "apache" in roles and isinstance(reason := proxies.find_apache(), str):
        roles.remove("apache")
        run.notes.append(f"Without Apache: {reason}")
    names = [name for role in roles for name in (("app", "app2") if role == "app" else (role,))]
    if unused := chosen.keys() - set(names):
        raise KitError(f"--ports {', '.join(sorted(unused))}: that role is not started")
    ports, remarks = choose(names, auto=auto, chosen=chosen)
    run.notes += remarks
    for note in run.notes:
        print(f"  {note}", flush=True)
    work = state.work(postgres.account(), proxies.account())

    database = postgres.service(state, work, ports["db"])
    launch(state, run, [database], signals)
    set_up_roles(state, database.url)
    signals.check()
    if applied := migrate(state, database.url):
        print(f"  db      {applied} migrations applied", flush=True)
    signals.check()
    if "app" not in roles:
        return
    replicas = [ports["app"], ports["app2"]]
    launch(
        state,
        run,
        [application(state, number, port, database.url) for number, port in enumerate(replicas, 1)],
        signals,
    )
    upstreams = [f"127.0.0.1:{port}" for port in replicas]
    front: list[Service] = []
    for role in roles[2:]:
        service = getattr(proxies, role)(work, ports[role], upstreams)
        if isinstance(service, Service):
            front.append(service)
        else:
            run.notes.append(f"Without {role}: {service}")
    launch(state, run, front, signals)


def follow_until_end(state: State, run: Run, signals: Signals, greeting: str) -> int:
    """Show all logs until a signal comes or a process ends; then stop everything. Returns the exit code."""
    labels = labelled([record.name for record in run.records])
    paths = {record.name: state.logs / f"{record.name}.log" for record in run.records}
    code = 0
    with Follower(paths, from_start=False) as follower:

        def show() -> bool:
            lines = follower.poll()
            for name, line in lines:
                print(f"{labels[name]}{line}")
            sys.stdout.flush()
            return bool(lines)

        try:
            print(f"{greeting}\n\nFollowing the logs; Ctrl-C stops everything.\n", flush=True)
            while not signals.count:
                shown = show()
                if dead := [record for record in run.records if not record.process.alive()]:
                    show()
                    for record in dead:
                        print(f"\nkit: {obituary(record)}", file=sys.stderr, flush=True)
                    code = 1
                    break
                if not shown:
                    time.sleep(FOLLOW_S)
            before = signals.count  # one that comes once the next line is read is a second one
            print("\nStopping (Ctrl-C again kills) ...", flush=True)
        except BrokenPipeError:  # whoever read our output has gone
            to_nowhere()
            before = signals.count
        with state.locked(BUSY):
            stop(run, signals, before)
            show()
            state.forget()
    if signals.count > max(before, 1):
        return 130
    print("Stopped.", flush=True)
    return code


def down(state: State, *, delete_data: bool) -> int:
    """Stop the stack, whoever started it and however that ended. Returns the exit code. Raises KitError."""
    ran = False
    if state.folder.exists():
        with Signals().caught() as signals:
            run = state.load()
            if run and run.kit and run.kit.signal(signals.numbers[1]):
                ran = True
                print(f"Asking the kit that runs it (pid {run.kit.pid}) ...", flush=True)
                deadline = time.monotonic() + OTHER_KIT_TIMEOUT_S
                while run.kit.alive() and time.monotonic() < deadline and not signals.count:
                    time.sleep(FOLLOW_S)
            with state.locked(BUSY):
                if run := state.load():
                    ran = ran or not all(record.process.gone() for record in run.records)
                    stop(run, signals)
                    state.forget()
    print("Stopped." if ran else "The stack is not running.")
    if delete_data:
        gone = state.delete_data()
        print(
            "".join(f"Deleted the data in {folder}\n" for folder in gone) or "There is no data to delete.\n",
            end="",
        )
    return 0


def show_status(state: State, *, as_json: bool) -> int:
    """Print what runs; returns 0 if all of it is well, else 1. Raises KitError."""
    run = state.load()
    facts = status(run)
    well = bool(facts) and all(one["healthy"] for one in facts.values())
    if as_json:
        print(json.dumps(facts, indent=2))
    elif run is None or not facts:
        print("The stack is not running; start it with ./kit up")
    else:
        print(table(run))
        for one in (one for role in facts.values() for one in role.get("replicas", [{"name": "", **role}])):
            if not one["healthy"]:
                print(f"{one['name'] or one['url']}: {one['problem']} (log: {one['log']})")
    return 0 if well else 1


def logs(state: State, names: Sequence[str], *, follow: bool, lines: int) -> int:
    """Print the last lines of the logs of roles or processes, and what comes if `follow`. Raises KitError."""
    paths = {path.stem: path for path in sorted(state.logs.glob("*.log"))}
    chosen = {
        name: path
        for name, path in paths.items()
        if not names or name in names or name.partition("-")[0] in names
    }
    if not chosen:
        there = f"there are: {', '.join(paths)}" if paths else "the stack was never started here"
        raise KitError(f"no log of {', '.join(names) or 'anything'}; {there}")
    labels = labelled(chosen)
    with Follower(chosen, from_start=False) as follower:
        for name, path in chosen.items():
            for line in tail(path, lines):
                print(f"{labels[name]}{line}")
        try:
            while follow:
                for name, line in follower.poll():
                    print(f"{labels[name]}{line}")
                sys.stdout.flush()
                time.sleep(FOLLOW_S)
        except KeyboardInterrupt:
            pass
    return 0
