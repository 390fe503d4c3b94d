"""`./kit bench`: measure the app directly and through each proxy with wrk and locust, and print one table.

Every target has to give right answers first. The targets take turns within each round, so that whatever
else the machine does meets all of them alike. A run with errors has no number. `./kit bench --help` lists
the options; README.md says how to read the numbers.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from loadtest import report, tools
from loadtest.targets import Target, TargetError, chosen, fetch, probe_record, verify

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
LOCUST_START_S = 4  # about what locust needs to start and stop, for the estimate


@dataclass(frozen=True)
class Scenario:
    """One kind of load: a URL for wrk (`{id}` is a user that exists), or a locust file with its prefix."""

    name: str
    tool: str
    path: str
    file: Path | None = None


SCENARIOS = (
    Scenario("index", "wrk", "/"),  # no database: the cost of the server and of the proxy
    Scenario("read", "wrk", "/simple/users/{id}"),
    Scenario("simple", "locust", "/simple", ROOT / "examples" / "simple" / "load.py"),
    Scenario("database", "locust", "/database", ROOT / "examples" / "database" / "load.py"),
)


def main(argv: Sequence[str], status: Mapping[str, Mapping[str, Any]]) -> int:
    """Run the benchmark.

    `argv` are the words after `./kit bench`; `status` is what `./kit status --json` prints (role -> url, pid,
    version). Returns 0 (all rows are valid), 1 (a target is dead or wrong, or a row has errors), 2 (bad
    arguments) or 130 (interrupted; what was measured is reported).
    """
    try:
        options = arguments(argv)
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    try:
        targets = chosen(status, options.targets, options.target)
        return run(options, targets)
    except TargetError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options; exits with 2 and the reason for bad ones."""
    parser = argparse.ArgumentParser(
        prog="./kit bench", description="Measure the app, directly and through each proxy."
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of 2 s: does it work, and roughly how fast"
    )
    parser.add_argument("--rounds", type=bounded(1, 20), help="turns of all targets (default 3)", metavar="N")
    parser.add_argument(
        "--duration", type=bounded(1, 60), help="seconds for each measurement (default 5)", metavar="S"
    )
    parser.add_argument(
        "--connections", type=bounded(1, 512), default=32, help="wrk's (default 32)", metavar="N"
    )
    parser.add_argument(
        "--users", type=bounded(1, 512), default=16, help="locust's (default 16)", metavar="N"
    )
    parser.add_argument(
        "--targets", type=words, help="of direct,caddy,nginx,apache (default: all that run)", metavar="LIST"
    )
    parser.add_argument(
        "--target", action="append", default=[], help="one more, NAME=URL; repeatable", metavar="NAME=URL"
    )
    parser.add_argument(
        "--scenarios", type=words, help="of " + ",".join(one.name for one in SCENARIOS), metavar="LIST"
    )
    parser.add_argument("--tool", choices=("wrk", "locust"), help="only this one")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "results", help="folder of the JSON report", metavar="DIR"
    )
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.duration = options.duration or (2 if options.quick else 5)
    names = [scenario.name for scenario in SCENARIOS]
    if unknown := set(options.scenarios or ()) - set(names):
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    wanted = [
        one
        for one in SCENARIOS
        if one.name in (options.scenarios or names) and options.tool in (None, one.tool)
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


def run(options: argparse.Namespace, targets: Sequence[Target]) -> int:
    """Verify, measure, report. Raises TargetError."""
    scenarios = []
    for tool in dict.fromkeys(scenario.tool for scenario in options.scenarios):
        if reason := tools.missing(tool):
            print(f"bench: without {tool}: {reason}", file=sys.stderr)
        else:
            scenarios += [scenario for scenario in options.scenarios if scenario.tool == tool]
    if not scenarios:
        print("bench: no load tool is installed, so there is nothing to run", file=sys.stderr)
        return 1

    started = datetime.now(UTC)
    rows = [report.Row(one.name, target.name, one.tool) for one in scenarios for target in targets]
    interrupted = False
    with probe_record(targets[0]) as record:
        for target in targets:
            verify(target, record)
            print(f"  right answers from {target.name} ({target.url})", flush=True)
        try:
            measure(options, scenarios, targets, rows, record)
        except KeyboardInterrupt:
            interrupted = True
            print("\nInterrupted; this is what was measured:", flush=True)

    print("\n" + report.table(rows) + "\n")
    print(
        "Load, proxies, app and database share this machine: compare the rows, not the numbers with others'."
    )
    about = provenance(options, targets, started, complete=not interrupted)
    try:
        print(f"Report: {report.write(options.output, report.as_json(rows, about), started)}")
    except OSError as error:
        print(f"bench: cannot write the report: {error}; choose a folder with --output", file=sys.stderr)
        return 1
    if interrupted:
        return 130
    return 0 if all(row.valid for row in rows) else 1


def measure(
    options: argparse.Namespace,
    scenarios: Sequence[Scenario],
    targets: Sequence[Target],
    rows: Sequence[report.Row],
    record: Mapping[str, Any],
) -> None:
    """Fill `rows`: in each round every scenario meets every target, and another target begins."""
    steps = options.rounds * len(rows)
    start_s = sum(LOCUST_START_S if one.tool == "locust" else 0 for one in scenarios)
    estimate_s = options.rounds * len(targets) * (len(scenarios) * options.duration + start_s)
    print(f"  {steps} measurements of {options.duration} s, about {estimate_s} s in all", flush=True)
    for target in targets:
        warm_up(target, record)
    by_name = {(row.scenario, row.target): row for row in rows}
    done = 0
    for turn in range(options.rounds):
        first = turn % len(targets)
        for scenario in scenarios:
            for target in (*targets[first:], *targets[:first]):
                done += 1
                print(
                    f"  [{done}/{steps}] round {turn + 1}: {scenario.name} {target.name} ({scenario.tool})",
                    flush=True,
                )
                sample = one_run(options, scenario, target, record)
                by_name[scenario.name, target.name].samples.append(sample)


def warm_up(target: Target, record: Mapping[str, Any]) -> None:
    """Let every worker and proxy behind `target` open its connections before anything counts."""
    for _ in range(50):
        fetch(target, "GET", f"/simple/users/{record['id']}")
        fetch(target, "GET", "/database/products?limit=1")


def one_run(
    options: argparse.Namespace, scenario: Scenario, target: Target, record: Mapping[str, Any]
) -> tools.Sample:
    """Run one scenario against one target once."""
    url = target.url + scenario.path.format(id=record["id"])
    if scenario.file is None:
        return tools.run_wrk(url, duration_s=options.duration, connections=options.connections)
    return tools.run_locust(scenario.file, url, duration_s=options.duration, users=options.users)


def provenance(
    options: argparse.Namespace, targets: Sequence[Target], started: datetime, *, complete: bool
) -> dict[str, Any]:
    """Return how the numbers came about: what it takes to judge and to repeat them."""
    return {
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "complete": complete,
        "rounds": options.rounds,
        "duration_s": options.duration,
        "connections": options.connections,
        "users": options.users,
        "targets": {target.name: target.url for target in targets},
        "versions": {
            "pierhead": metadata.version("pierhead"),
            "python": platform.python_version(),
            "wrk": tools.version("wrk"),
            "locust": tools.version("locust"),
        },
        "machine": {"kernel": platform.release(), "architecture": platform.machine(), "cpus": os.cpu_count()},
    }
