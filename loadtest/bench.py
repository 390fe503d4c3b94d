"""`./kit bench`: measure the app directly and through each proxy with wrk and locust, and write a report.

Every target has to give right answers first. The targets take turns within each round, so that whatever
else the machine does meets all of them alike. A run with errors has no number. `./kit bench --help` lists
the options; README.md says how to read the numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from loadtest import machine, pool, provenance, ramp, results, tools
from loadtest.compose import containers
from loadtest.database import ROWS, SEED, dataset
from loadtest.faults import FAULTS, run_faults
from loadtest.interrupt import interruptible
from loadtest.measuring import RATE, WARM_UP_S, Measuring, now, proxied
from loadtest.others import NAMES, serving
from loadtest.placement import NOWHERE, placed
from loadtest.provenance import ROOT
from loadtest.report.files import show
from loadtest.results import ResultError
from loadtest.roles import processes
from loadtest.scenario import Scenario, ScenarioError, load_all
from loadtest.spawner import Spawner
from loadtest.subject import Subject
from loadtest.targets import DIRECT, PROXIES, Target, TargetError, chosen, probe_record

__all__ = ["main"]

PEER_WORKERS = 2  # as many as a replica of the stack has
CONFIGURATION = (
    "proxy", "db", "examples", "loadtest/scenarios", "docker-compose.yml", "Dockerfile",
    "locks/examples.txt", "locks/stack.txt", "locks/load.txt",
)  # fmt: skip


def main(argv: Sequence[str], opened: Callable[[], AbstractContextManager[Subject]]) -> int:
    """Run the benchmark.

    `argv` are the words after `./kit bench`; `opened` has a stack run, when it is clear that something is to
    be measured and that it is not the one of --compose. Returns 0 (all is valid and
    passed), 1 (a target is dead or wrong, a result has errors, or a fault was not stood), 2 (bad arguments)
    or 130 (interrupted; what was measured is reported).
    """
    try:
        options = arguments(argv)
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    try:
        with interruptible(), containers() if options.compose else opened() as subject:
            return measure(options, subject)
    except (TargetError, ResultError, ScenarioError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before anything was measured
        print("bench: interrupted", file=sys.stderr)
        return 130


def measure(options: argparse.Namespace, subject: Subject) -> int:
    """Measure a stack that runs, and what --peers names. Raises TargetError."""
    if not options.peers:
        return run(options, chosen(subject.status, options.targets, options.target), subject)
    if subject.environment is None:
        raise TargetError("--peers needs the database of a stack of ./kit, and none is running")
    with serving(options.peers, subject.environment, PEER_WORKERS) as others:
        more = [f"{name}={facts['url']}" for name, facts in others.items()]
        targets = chosen(subject.status, options.targets, [*options.target, *more], others)
        return run(options, targets, replace(subject, status={**subject.status, **others}))


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options; exits with 2 and the reason for bad ones. Raises ScenarioError."""
    scenarios = load_all()
    parser = argparse.ArgumentParser(
        prog="./kit bench", description="Measure the app, directly and through each proxy."
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one round of 2 s of few scenarios: does it work, and roughly how fast",
    )
    parser.add_argument("--rounds", type=bounded(1, 20), help="turns of all targets (default 5)", metavar="N")
    parser.add_argument(
        "--duration", type=bounded(1, 60), help="seconds for each measurement (default 2)", metavar="S"
    )
    parser.add_argument(
        "--connections", type=bounded(1, 512), default=32, help="wrk's (default 32)", metavar="N"
    )
    parser.add_argument(
        "--users", type=bounded(1, 512), default=16, help="locust's (default 16)", metavar="N"
    )
    parser.add_argument(
        "--rate", type=bounded(1, 100_000), metavar="N",
        help=f"tasks a second that locust offers (default {RATE}, or what the scenario says)",
    )  # fmt: skip
    parser.add_argument(
        "--targets", type=words, help="of direct,caddy,nginx,apache (default: all that run)", metavar="LIST"
    )
    parser.add_argument(
        "--target", action="append", default=[], help="one more, NAME=URL; repeatable", metavar="NAME=URL"
    )
    parser.add_argument(
        "--peers", type=words, default=[], metavar="LIST",
        help=f"the same application on other servers, too: of {','.join(NAMES)}",
    )  # fmt: skip
    parser.add_argument("--scenarios", type=words, help="of " + ",".join(scenarios), metavar="LIST")
    parser.add_argument(
        "--sweep", action="store_true", help="and each scenario with less and more load, a few seconds each"
    )
    parser.add_argument(
        "--ramp", type=bounded(2, 512), default=0, metavar="USERS",
        help=f"and what happens while so many users arrive, in {ramp.SECONDS} s, for locust's scenarios",
    )  # fmt: skip
    parser.add_argument(
        "--faults", type=words, default=[], metavar="LIST",
        help=f"of {','.join(FAULTS)}: what happens to the stack afterwards, while it is loaded",
    )  # fmt: skip
    parser.add_argument(
        "--pool", type=pool.numbers, default=(), metavar="LIST",
        help="and examples/database with pools of so many connections to the database, such as 1,2,4,8,16,32",
    )  # fmt: skip
    parser.add_argument(
        "--dataset-rows", type=bounded(0, 1_000_000), default=ROWS, metavar="N",
        help=f"rows that are put into the database for the run (default {ROWS})",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=bounded(0, 2**32), default=SEED, metavar="N", help=f"they come from (default {SEED})"
    )
    parser.add_argument(
        "--pin",
        action="store_true",
        help="the load generator gets the last core, all servers the others",
    )
    parser.add_argument(
        "--compose", action="store_true", help="measure the containers of docker compose, started if need be"
    )
    parser.add_argument("--tool", choices=("wrk", "locust"), help="only this one")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "results", help="folder for the report's folder", metavar="DIR"
    )
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.duration = options.duration or 2
    if unknown := set(options.faults) - set(FAULTS):
        parser.error(f"no fault {', '.join(sorted(unknown))}; there are: {', '.join(FAULTS)}")
    if unknown := set(options.scenarios or ()) - set(scenarios):
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are: {', '.join(scenarios)}")
    if options.compose and (options.peers or options.pool):
        parser.error(
            "--peers and --pool run servers here, which cannot reach the containers' database: its network is"
            " apart, and so are its passwords; leave --compose out"
        )
    usual = [name for name, one in scenarios.items() if (one.quick if options.quick else one.default)]
    chosen_names = options.scenarios or usual
    wanted = [
        one for name, one in scenarios.items() if name in chosen_names and options.tool in (None, one.tool)
    ]
    if not wanted:
        parser.error(f"none of these scenarios is for {options.tool}")
    options.scenarios = wanted
    return options


def bounded(least: int, most: int) -> Any:
    """Return an argparse type: a whole number from `least` to `most`."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return number


def words(text: str) -> list[str]:
    """Split a list at its commas (an argparse type)."""
    return [word.strip() for word in text.split(",") if word.strip()]


def run(options: argparse.Namespace, targets: Sequence[Target], subject: Subject) -> int:
    """Verify, measure, report. Raises TargetError."""
    scenarios: list[Scenario] = []
    for tool in dict.fromkeys(scenario.tool for scenario in options.scenarios):
        if reason := tools.missing(tool):
            print(f"bench: without {tool}: {reason}", file=sys.stderr)
        else:
            scenarios += [scenario for scenario in options.scenarios if scenario.tool == tool]
    if not scenarios:
        print("bench: no load tool is installed, so there is nothing to run", file=sys.stderr)
        return 1
    if options.pool and (reason := tools.missing("wrk")):
        raise TargetError(f"--pool: {reason}")
    if options.pool and subject.environment is None:
        raise TargetError("--pool needs the database of a stack of ./kit, and none is running")
    if options.faults and subject.disturb is None:
        raise TargetError("faults happen to a stack of ./kit or of docker compose, and none is running")
    if options.faults and not proxied(targets):
        raise TargetError(f"--faults needs a proxy among the targets: {', '.join(PROXIES)}")
    document = begin(options, scenarios, targets, subject)
    started = datetime.fromisoformat(document["started"])
    folder = options.output / f"bench-{started:%Y%m%d-%H%M%S}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(f"cannot write a report: {error}; choose a folder with --output") from error
    roles = processes(subject.status)
    with contextlib.ExitStack() as stack:
        placement = stack.enter_context(placed(roles, subject.bind)) if options.pin else NOWHERE
        document["provenance"] |= {"pinned": options.pin, "placement": str(placement)}
        if subject.sql:
            data = stack.enter_context(dataset(subject.sql, options.dataset_rows, options.seed))
            document["dataset"] = data
        record = stack.enter_context(probe_record(targets[0]))
        for target in targets:
            for scenario in scenarios:
                scenario.prove(target, record)
            print(f"  right answers from {target.name} ({target.url})", flush=True)
        spawner = stack.enter_context(Spawner())
        measuring = Measuring(options, scenarios, targets, roles, record, subject, placement, spawner)
        measuring.announce()
        stopped = None
        try:
            parts(measuring, document, lambda: keep(document, folder))
            document["complete"] = True
        except KeyboardInterrupt:
            print("\nInterrupted; this is what was measured:", flush=True)
        except (TargetError, ScenarioError) as error:
            if not document["runs"]:
                raise
            stopped = error
            print(f"bench: {error}; this is what was measured until then:", file=sys.stderr, flush=True)
    try:
        document["finished"] = now()
        results.conclude(document)
        code = show(document, folder)
    except KeyboardInterrupt:
        keep(document, folder)
        print(f"bench: interrupted; ./kit report {folder / 'report.json'} shows all", file=sys.stderr)
        return 130
    if document["complete"]:
        return code
    return 1 if stopped else 130


def parts(measuring: Measuring, document: dict[str, Any], after: Callable[[], None]) -> None:
    """Measure what the options say, part by part; `after` is called after each. Raises TargetError."""
    options, subject = measuring.options, measuring.subject
    measuring.warm_up()
    measuring.progress.done(measuring.warm_up_s())
    measuring.rounds(document["runs"], after)
    if options.sweep:
        after()
        measuring.sweeps(document["sweeps"])
    if options.ramp:
        after()
        measuring.ramps(document["ramps"])
    if options.pool:
        after()
        pool.sweep(
            subject.environment or {}, options.pool, document["pool"], rounds=options.rounds,
            duration_s=options.duration, connections=options.connections, placement=measuring.placement,
            tell=lambda text: measuring.tell(text, measuring.pool_s()),
        )  # fmt: skip
    if options.faults and subject.disturb is not None:
        after()
        run_faults(measuring, options.faults, subject.disturb, document["faults"])


def keep(document: dict[str, Any], folder: Path) -> None:
    """Write down what has been measured until now: a run that ends without a word leaves that."""
    document["finished"] = now()
    results.conclude(document)
    try:
        results.write(folder, document)
    except OSError as error:
        print(f"  cannot write down what was measured until now: {error}", file=sys.stderr, flush=True)


def begin(
    options: argparse.Namespace,
    scenarios: Sequence[Scenario],
    targets: Sequence[Target],
    subject: Subject,
) -> dict[str, Any]:
    """Return the document of a run before anything was measured."""
    versions = {
        "pierhead": metadata.version("pierhead"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "wrk": tools.version("wrk"),
        "locust": tools.version("locust"),
        **{role: str(facts.get("version", "")) for role, facts in subject.status.items()},
    }
    roles = {target.name: "app" if target.name == DIRECT else target.name for target in targets}
    return {
        "format": results.FORMAT,
        "started": now(),
        "finished": now(),
        "complete": False,
        "command": command(options, scenarios, targets),
        "settings": {
            "rounds": options.rounds,
            "duration_s": options.duration,
            "warm_up_s": WARM_UP_S,
            "connections": options.connections,
            "users": options.users,
            "rate": options.rate or RATE,
            "renewed": subject.renew is not None,
        },
        "provenance": {
            "commit": provenance.commit(),
            "versions": versions,
            "files": provenance.digests(CONFIGURATION),
            "pinned": False,
            "placement": str(NOWHERE),
            "processes": {role: len(machine.tree(pids)) for role, pids in processes(subject.status).items()},
            "stack": "containers" if subject.compose else "processes" if subject.status else "elsewhere",
        },
        "machine": machine.about(),
        "dataset": None,
        "targets": {
            target.name: {"url": target.url, "version": versions.get(roles[target.name], "")}
            for target in targets
        },
        "scenarios": {
            one.name: {
                "title": one.title,
                "about": one.about,
                "tool": one.tool,
                "path": one.path,
                "measure": "requests_per_s" if one.tool == "wrk" else "p99_ms",
                "rate": None if one.tool == "wrk" else options.rate or one.rate or RATE,
                "files": [path.relative_to(ROOT).as_posix() for path in one.files],
            }
            for one in scenarios
        },
        "runs": [],
        "sweeps": [],
        "ramps": [],
        "pool": [],
        "faults": [],
        "results": [],
        "rankings": {},
    }


def command(options: argparse.Namespace, scenarios: Sequence[Scenario], targets: Sequence[Target]) -> str:
    """Return the line that repeats a run, whatever the defaults will be."""
    added = {*options.peers, *(item.partition("=")[0] for item in options.target)}
    return shlex.join(
        [
            *("./kit", "bench", "--rounds", str(options.rounds), "--duration", str(options.duration)),
            *("--connections", str(options.connections), "--users", str(options.users)),
            *("--dataset-rows", str(options.dataset_rows), "--seed", str(options.seed)),
            *(["--pin"] if options.pin else []),
            *(["--compose"] if options.compose else []),
            *(["--sweep"] if options.sweep else []),
            *(["--ramp", str(options.ramp)] if options.ramp else []),
            *(["--peers", ",".join(options.peers)] if options.peers else []),
            *(["--pool", ",".join(map(str, options.pool))] if options.pool else []),
            *(["--faults", ",".join(options.faults)] if options.faults else []),
            *(["--rate", str(options.rate)] if options.rate else []),
            *("--scenarios", ",".join(one.name for one in scenarios)),
            *("--targets", ",".join(target.name for target in targets if target.name not in added)),
            *(word for item in options.target for word in ("--target", item)),
        ]
    )
