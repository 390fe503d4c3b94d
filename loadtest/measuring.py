"""The measurements of a run: warm-up, interleaved rounds, and sweeps, with progress as they go."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loadtest import results, sweep, tools
from loadtest.provenance import duration
from loadtest.roles import Watch
from loadtest.scenario import Scenario, filled
from loadtest.targets import Target, fetch

__all__ = ["RATE", "WARM_UP_S", "Measuring", "now"]

LOCUST_START_S = 4  # about what locust needs to start and stop, for the estimate
PRIMER = 20  # requests before anything counts, so that every worker and proxy has its connections
WARM_UP_S = 1
RATE = 200


@dataclass(frozen=True)
class Measuring:
    """What is measured: `roles` are the main processes of the stack, `record` a user that exists."""

    options: argparse.Namespace
    scenarios: Sequence[Scenario]
    targets: Sequence[Target]
    roles: Mapping[str, list[int]]
    record: Mapping[str, Any]

    def announce(self) -> None:
        """Say how much there is to do, and how long it takes."""
        options, turns = self.options, len(self.steps())
        locust_s = LOCUST_START_S * options.rounds * len(self.targets)
        estimate_s = turns * options.duration
        for scenario in self.scenarios:
            estimate_s += locust_s if scenario.tool == "locust" else WARM_UP_S * len(self.targets)
        swept = sweep.points(self.scenarios, self.targets) if options.sweep else []
        estimate_s += sum(sweep.SECONDS + LOCUST_START_S * (one.tool == "locust") for one, *_ in swept)
        print(
            f"  {turns} measurements of {options.duration} s, about {duration(estimate_s)} in all",
            flush=True,
        )

    def steps(self) -> list[tuple[int, Scenario, Target]]:
        """Return the turns: in each round every scenario meets every target, and another target begins."""
        targets = self.targets
        return [
            (turn + 1, scenario, target)
            for turn in range(self.options.rounds)
            for scenario in self.scenarios
            for target in (*targets[turn % len(targets) :], *targets[: turn % len(targets)])
        ]

    def warm_up(self) -> None:
        """Let all behind the targets open connections and fill caches before anything counts."""
        for target in self.targets:
            for scenario in self.scenarios:
                for _ in range(PRIMER):
                    fetch(target, "GET", filled(scenario.verify[0].path, self.record))
                if scenario.tool == "wrk":
                    self.load(scenario, target, WARM_UP_S)

    def rounds(self, runs: list[dict[str, Any]]) -> None:
        """Append each run to `runs`."""
        steps = self.steps()
        began = time.monotonic()
        for number, (turn, scenario, target) in enumerate(steps, 1):
            one = self.run(turn, scenario, target)
            runs.append(one)
            left = duration((time.monotonic() - began) / number * (len(steps) - number))
            place = f"[{number}/{len(steps)}] round {turn}: {scenario.name} {target.name} ({scenario.tool})"
            print(f"  {place}: {said(one)}; {left} left", flush=True)

    def run(self, turn: int, scenario: Scenario, target: Target) -> dict[str, Any]:
        """Run one scenario against one target once."""
        started = now()
        watch = self.watch(target)
        sample = self.load(scenario, target, self.options.duration)
        cpu, memory = watch.stop()
        return results.run_of(
            scenario,
            target,
            turn,
            started,
            sample,
            offered=float(self.rate(scenario)) if scenario.tool == "locust" else None,
            cpu_s={"load": sample.client_cpu * sample.seconds, **cpu},
            memory_bytes=memory,
        )

    def sweeps(self, found: list[dict[str, Any]]) -> None:
        """Append to `found` what each scenario does with less and more load."""
        points = sweep.points(self.scenarios, self.targets)
        for number, point in enumerate(points, 1):
            scenario, target, by, value = point
            watch = self.watch(target)
            sample = self.load(scenario, target, sweep.SECONDS, **{by: value})
            cpu, _ = watch.stop()
            one = sweep.point_of(point, sample, {"load": sample.client_cpu * sample.seconds, **cpu})
            found.append(one)
            place = f"[{number}/{len(points)}] sweep: {scenario.name} {target.name}, {by} {value}"
            print(f"  {place}: {said(one)}", flush=True)

    def rate(self, scenario: Scenario) -> int:
        """Return the rate that locust offers: what the options say, or the scenario, or the usual one."""
        return int(self.options.rate or scenario.rate or RATE)

    def watch(self, target: Target) -> Watch:
        """Watch the roles that take part when a target is loaded."""
        return Watch({role: pids for role, pids in self.roles.items() if role in ("app", "db", target.name)})

    def load(
        self,
        scenario: Scenario,
        target: Target,
        seconds: int,
        *,
        connections: int | None = None,
        rate: int | None = None,
    ) -> tools.Sample:
        """Have a tool make one scenario's load, with the options' connections and rate unless given."""
        url = target.url + filled(scenario.path, self.record)
        if scenario.tool == "wrk":
            script = scenario.script or tools.WRK_SCRIPT
            connections = connections or self.options.connections
            return tools.run_wrk(url, duration_s=seconds, connections=connections, script=script)
        rate = rate or self.rate(scenario)
        return tools.run_locust(
            scenario.files,
            url,
            duration_s=seconds,
            users=self.options.users,
            rate=rate,
            prefixed=scenario.prefixed,
        )


def said(one: Mapping[str, Any]) -> str:
    """Return a run or a point in a few words."""
    return f"{one['requests_per_s']:,.0f} requests/s" if one["valid"] else "NOT VALID: " + one["problems"][0]


def now() -> str:
    """Return the time."""
    return datetime.now(UTC).isoformat(timespec="seconds")
