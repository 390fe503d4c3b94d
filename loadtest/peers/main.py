"""`./kit peers`: arguments, rounds, progress, exit code, and the files that are written."""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtest import machine, provenance, tools
from loadtest.interrupt import interruptible
from loadtest.marks import include
from loadtest.peers import results
from loadtest.peers.catalogue import OURS, PEERS, Peer, PeerError, select
from loadtest.peers.scenarios import SCENARIOS, Measurement, Plan, Scenario
from loadtest.progress import duration
from loadtest.provenance import ROOT

__all__ = ["main"]

DEFAULT = ("minimal", "realistic")
FORMAT = "pierhead-peers/1"
OVERHEAD_S = 2.5  # about what a server takes to start and stop, for the estimate


def main(argv: Sequence[str]) -> int:
    """Run the comparison.

    `argv` are the words after `./kit peers`. Returns 0, 1 (a server failed, or a run is invalid because of
    errors), 2 (bad arguments) or 130 (interrupted; what was measured is reported).
    """
    try:
        options = arguments(argv)
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    try:
        if options.parts:
            from loadtest.peers import parts  # needs the server, and --help works without it

            table = parts.table()
            print(table)
            if options.docs:
                include(options.docs, "parts", table)
            return 0
        shown = options.show and json.loads(options.show.read_text(encoding="utf-8"))
        document = shown or compare(options)
        print("\n" + results.as_text(document), flush=True)
        if not options.show:
            print(f"\nResults: {write(options.json, document)}")
        if options.docs:
            include(options.docs, options.part, results.as_markdown(document))
    except (PeerError, OSError, ValueError) as error:
        print(f"peers: {error}", file=sys.stderr)
        return 1
    if not document["complete"]:
        return 130
    return 0 if all(one["valid"] for one in document["measurements"]) else 1


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options; exits with 2 and the reason for bad ones."""
    parser = argparse.ArgumentParser(
        prog="./kit peers",
        description="Measure Pierhead and other servers, one at a time on one core, the client on another.",
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument(
        "--peers", type=words, metavar="LIST", help="of " + ",".join(peer.name for peer in PEERS) + "; all"
    )
    parser.add_argument(
        "--scenario", "--scenarios", dest="scenarios", type=words, metavar="LIST",
        help=f"of {','.join(names)}, or all (default {','.join(DEFAULT)})",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of all servers (default 5)")
    parser.add_argument("--seconds", type=int, metavar="S", help="of each measurement (default 3)")
    parser.add_argument("--connections", type=int, default=64, metavar="N", help="of wrk (default 64)")
    parser.add_argument("--quick", action="store_true", help="one round of 1 s, and less of everything")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go (default: results/)")
    parser.add_argument("--docs", type=Path, metavar="FILE", nargs="?", const=ROOT / "docs" / "benchmarks.md",
                        help="put the tables into this page (default docs/benchmarks.md)")  # fmt: skip
    parser.add_argument("--part", choices=("peers", "interfaces", "more"), default="peers",
                        help="of that page, between whose marks the tables go (default peers)")  # fmt: skip
    parser.add_argument("--show", type=Path, metavar="FILE", help="measure nothing: show results again")
    parser.add_argument(
        "--parts", action="store_true", help="instead: what the parts of a request cost Pierhead"
    )
    parser.add_argument("--python", metavar="PYTHON", help="for server and peers; the kit's own by default")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 3)
    for name, most in (("rounds", 50), ("seconds", 60), ("connections", 1024)):
        if not 1 <= getattr(options, name) <= most:
            parser.error(f"--{name} must be from 1 to {most}")
    if options.scenarios == ["all"]:
        options.scenarios = names
    if unknown := set(options.scenarios or ()) - set(names):
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are: {', '.join(names)}, all")
    wanted = options.scenarios or DEFAULT
    options.scenarios = [scenario for scenario in SCENARIOS if scenario.name in wanted]
    try:
        options.peers = select(options.peers)
    except PeerError as error:
        parser.error(str(error))
    return options


def words(text: str) -> list[str]:
    """Split a list at its commas (an argparse type)."""
    return [word.strip() for word in text.split(",") if word.strip()]


def planned(options: argparse.Namespace) -> tuple[Plan, dict[str, str]]:
    """Return how much is done and where, and the scenarios that can't be run here with the reason."""
    cores = machine.cores()
    pinned = len(cores) > 1
    # The load takes the last core: the first one serves more interrupts on many machines.
    plan = Plan(
        seconds=options.seconds,
        connections=options.connections,
        idle=2000 if options.quick else 10_000,
        listeners=200 if options.quick else 1000,
        stream_bytes=10**8 if options.quick else 10**9,
        server_cores=(cores[0],) if pinned else (),
        load_cores=(cores[-1],) if pinned else (),
        second_core=cores[1] if len(cores) > 2 else None,
    )
    skipped = {}
    if plan.second_core is None and any(one.name == "workers" for one in options.scenarios):
        skipped["workers"] = f"it needs three cores, and here are {len(cores) or 'none that can be chosen'}"
    return plan, skipped


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; return the document, not complete if interrupted. Raises PeerError."""
    if reason := tools.missing("wrk"):
        raise PeerError(reason)
    plan, skipped = planned(options)
    peers = []
    for peer in options.peers:
        if reason := peer.missing():
            if peer.name == OURS:
                raise PeerError(reason)
            skipped[peer.name] = reason
        else:
            peers.append(peer)
    scenarios = [one for one in options.scenarios if one.name not in skipped]
    for name, reason in skipped.items():
        print(f"  without {name}: {reason}", flush=True)
    if not plan.server_cores:
        print("  not pinned: server and client share all cores; ratios are less certain", flush=True)
    document: dict[str, Any] = {
        "format": FORMAT,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "finished": None,
        "complete": False,
        "command": command(options),
        "commit": provenance.commit(),
        "settings": {"rounds": options.rounds, **settings_of(plan)},
        "placement": {
            "pinned": bool(plan.server_cores),
            "server_cores": list(plan.server_cores),
            "load_cores": list(plan.load_cores),
        },
        "machine": machine.about(),
        "versions": {"python": platform.python_version(), "wrk": " ".join(tools.version("wrk").split()[:2])},
        "servers": {peer.name: {"version": peer.version(), "interface": peer.interface} for peer in peers},
        "skipped": skipped,
        "measurements": [],
    }
    try:
        with interruptible():
            measure(peers, scenarios, options.rounds, plan, document["measurements"])
        document["complete"] = True
    except KeyboardInterrupt:
        print("\nInterrupted; this is what was measured:", flush=True)
    document["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    document["summary"] = results.summary(document)
    return document


def measure(
    peers: Sequence[Peer],
    scenarios: Sequence[Scenario],
    rounds: int,
    plan: Plan,
    measurements: list[dict[str, Any]],
) -> None:
    """Append to `measurements`: in each round every scenario meets every server, one after the other."""
    turns = [
        (turn, scenario, peer)
        for turn in range(1, rounds + 1)
        for scenario in scenarios
        for peer in peers
        if scenario.name in peer.scenarios
    ]
    began = time.monotonic()
    estimate_s = len(turns) * (plan.seconds + plan.warm_up + OVERHEAD_S)
    print(f"  {len(turns)} measurements, about {duration(estimate_s)}", flush=True)
    known: dict[tuple[int, str], dict[str, float]] = {}
    for number, (turn, scenario, peer) in enumerate(turns, 1):
        values = known.setdefault((turn, peer.name), {})
        try:
            measurement = scenario.measure(peer, plan, values)
        except (PeerError, OSError, ValueError) as error:
            measurement = Measurement(errors={"server": 1}, note=str(error))
        if measurement.valid:
            values[scenario.name] = measurement.value
        one = results.record(scenario, peer.name, turn, measurement)
        measurements.append(one)
        left_s = (time.monotonic() - began) / number * (len(turns) - number)
        print(
            f"  [{number}/{len(turns)}] round {turn}: {scenario.name} {peer.name}: {said(scenario, one)}"
            f" ({duration(left_s)} left)",
            flush=True,
        )


def said(scenario: Scenario, one: Mapping[str, Any]) -> str:
    """Return a measurement in one line."""
    if not one["valid"]:
        return f"INVALID {one['errors']} {one['note']}".rstrip()
    cost = f", {one['cpu_us']:.1f} µs CPU each" if one["cpu_us"] and scenario.work else ""
    bound = ", client-bound" if one["client_bound"] else ""
    return f"{one['value']:,.{scenario.digits}f} {scenario.unit}{cost}{bound}"


def command(options: argparse.Namespace) -> str:
    """Return the line that repeats a run, whatever the defaults will be."""
    return shlex.join(
        [
            *("./kit", "peers", "--peers", ",".join(peer.name for peer in options.peers)),
            *("--scenario", ",".join(scenario.name for scenario in options.scenarios)),
            *("--rounds", str(options.rounds), "--seconds", str(options.seconds)),
            *("--connections", str(options.connections)),
            *(["--quick"] if options.quick else []),
        ]
    )


def settings_of(plan: Plan) -> dict[str, int]:
    """Return what of a plan is needed to repeat it elsewhere."""
    return {
        "seconds": plan.seconds,
        "warm_up": plan.warm_up,
        "connections": plan.connections,
        "idle": plan.idle,
        "listeners": plan.listeners,
        "stream_bytes": plan.stream_bytes,
    }


def write(path: Path | None, document: Mapping[str, Any]) -> Path:
    """Write the document; return where. Raises OSError."""
    if path is None:
        started = datetime.fromisoformat(document["started"])
        path = ROOT / "results" / f"peers-{started:%Y%m%d-%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path
