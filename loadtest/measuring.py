"""The measurements of a run: warm-up, interleaved rounds, and sweeps, with progress as they go."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from loadtest import machine, ramp, results, sweep, tools
from loadtest.database import Statistics
from loadtest.placement import NOWHERE, Placement
from loadtest.progress import Progress, duration
from loadtest.roles import Watch
from loadtest.scenario import Scenario, filled
from loadtest.spawner import Spawner
from loadtest.subject import Subject
from loadtest.targets import PROXIES, Target, TargetError, fetch

__all__ = ["FAULT_S", "RATE", "WARM_UP_S", "Measuring", "now", "proxied"]

# For the estimate: about what it takes to start and stop a tool, and to replace the application's processes.
OVERHEAD_S = {"wrk": 0.3, "locust": 1.0}
RENEWAL_S = 3.0
POOL_START_S = 2.0
FAULT_S = 14.0
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
    subject: Subject = field(default_factory=Subject)
    placement: Placement = NOWHERE
    spawner: Spawner | None = None

    def announce(self) -> None:
        """Say how much there is to do, and how long it takes."""
        options, parts = self.options, []
        for number, what in (
            (len(self.swept), "of a sweep"),
            (len(self.ramp_steps()), "of a ramp"),
            (options.rounds * len(options.pool), "of a pool"),
            (len(options.faults) * len(proxied(self.targets)), "of a fault"),
        ):
            parts += [f"{number} {what}"] if number else []
        count = len(self.steps())
        first = f"{count} measurement{'s' if count != 1 else ''} of {options.duration} s"
        said = " and ".join(filter(None, (", ".join([first, *parts[:-1]]), *parts[-1:])))
        print(f"  {said}, about {duration(self.progress.left_s)} in all", flush=True)

    @functools.cached_property
    def progress(self) -> Progress:
        """How far this is; it begins when somebody asks."""
        options = self.options
        estimate_s = sum(self.takes_s(scenario, options.duration) for _, scenario, _ in self.steps())
        estimate_s += options.rounds * self.warm_up_s() + (options.rounds - 1) * self.renewal_s()
        estimate_s += sum(self.takes_s(scenario, sweep.SECONDS) for scenario, *_ in self.swept)
        estimate_s += sum(self.takes_s(scenario, ramp.SECONDS) for scenario, _ in self.ramp_steps())
        estimate_s += options.rounds * len(options.pool) * self.pool_s()
        estimate_s += len(options.faults) * len(proxied(self.targets)) * FAULT_S
        return Progress(estimate_s)

    @functools.cached_property
    def swept(self) -> list[sweep.Point]:
        """The points of the sweeps, if there are to be any."""
        return sweep.points(self.scenarios, self.targets) if self.options.sweep else []

    def takes_s(self, scenario: Scenario, seconds: float) -> float:
        """Return how long it takes to measure for so many seconds, about."""
        return seconds + OVERHEAD_S[scenario.tool]

    def renewal_s(self) -> float:
        """Return how long it takes to replace the application's processes, about."""
        return RENEWAL_S if self.subject.renew else 0.0

    def pool_s(self) -> float:
        """Return how long it takes to measure a pool of connections, about."""
        return float(self.options.duration) + POOL_START_S

    def warm_up_s(self) -> float:
        """Return how long it takes to warm up, about."""
        wrk = [scenario for scenario in self.scenarios if scenario.tool == "wrk"]
        return len(self.targets) * (0.1 * len(self.scenarios) + (WARM_UP_S + OVERHEAD_S["wrk"]) * bool(wrk))

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
        """Let all behind the targets open connections and fill caches before anything counts.

        Raises TargetError where a target is dead.
        """
        for target in self.targets:
            for scenario in self.scenarios:
                for _ in range(PRIMER):
                    fetch(target, "GET", filled(scenario.verify[0].path, self.record))
            for scenario in self.scenarios:
                if scenario.tool == "wrk":
                    self.load(scenario, target, WARM_UP_S)
                    break

    def rounds(self, runs: list[dict[str, Any]], after: Callable[[], None] = lambda: None) -> None:
        """Append each run to `runs`; `after` is called after each round but the last.

        Where that is possible, each round meets new processes of the application. What differs from one start
        to the next (memory layout, hash seed, who has which connection) is then in the rounds' spread, and so
        in the intervals; otherwise two runs would differ by more than either of them says.
        """
        steps = self.steps()
        last = 1
        for number, (turn, scenario, target) in enumerate(steps, 1):
            if turn > last:
                last = turn
                after()
                self.begin_again(turn)
            one = self.run(turn, scenario, target)
            runs.append(one)
            place = f"[{number}/{len(steps)}] round {turn}: {scenario.name} {target.name} ({scenario.tool})"
            self.tell(f"{place}: {said(one)}", self.takes_s(scenario, self.options.duration))

    def tell(self, what: str, took_s: float) -> None:
        """Say what has come of a part that was supposed to take so long, and how long the rest takes."""
        self.progress.done(took_s)
        print(f"  {what}; {self.progress.left()}", flush=True)

    def begin_again(self, turn: int) -> None:
        """Replace the application's processes by new ones, and warm up."""
        self.progress.done(self.renewal_s() + self.warm_up_s())
        if self.subject.renew is None:
            return
        try:
            self.subject.renew()
            self.warm_up()
        except TargetError as error:  # then the measurements have errors, and the report says so
            print(f"  before round {turn}: {error}", flush=True)

    def run(self, turn: int, scenario: Scenario, target: Target) -> dict[str, Any]:
        """Run one scenario against one target once."""
        started = now()
        statistics = self.statistics
        statistics.start()
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
            database=statistics.stop(),
        )

    def sweeps(self, found: list[dict[str, Any]]) -> None:
        """Append to `found` what each scenario does with less and more load."""
        points = self.swept
        for number, point in enumerate(points, 1):
            scenario, target, by, value = point
            watch = self.watch(target)
            sample = self.load(scenario, target, sweep.SECONDS, **{by: value})
            cpu, _ = watch.stop()
            one = sweep.point_of(point, sample, {"load": sample.client_cpu * sample.seconds, **cpu})
            found.append(one)
            place = f"[{number}/{len(points)}] sweep: {scenario.name} {target.name}, {by} {value}"
            self.tell(f"{place}: {said(one)}", self.takes_s(scenario, sweep.SECONDS))

    def ramps(self, found: list[dict[str, Any]]) -> None:
        """Append to `found` what happens while users arrive, for each scenario that has users."""
        steps = self.ramp_steps()
        for number, (scenario, target) in enumerate(steps, 1):
            started = now()
            sample = self.load(scenario, target, ramp.SECONDS, users=self.options.ramp)
            one = ramp.ramp_of(scenario, target, started, self.options.ramp, sample)
            found.append(one)
            outcome = f"{sample.requests:,} requests" if one["valid"] else f"NOT VALID: {one['problems'][0]}"
            place = f"[{number}/{len(steps)}] ramp: {scenario.name} {target.name}"
            self.tell(f"{place}: {outcome}", self.takes_s(scenario, ramp.SECONDS))

    def ramp_steps(self) -> list[tuple[Scenario, Target]]:
        """Return the ramps that there are."""
        if not self.options.ramp:
            return []
        return [(one, target) for one in self.scenarios if one.tool == "locust" for target in self.targets]

    def rate(self, scenario: Scenario) -> int:
        """Return the rate that locust offers: what the options say, or the scenario, or the usual one."""
        return int(self.options.rate or scenario.rate or RATE)

    @functools.cached_property
    def statistics(self) -> Statistics:
        """What the database counts."""
        return Statistics(self.subject.sql)

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
        users: int = 0,
    ) -> tools.Sample:
        """Have a tool make one scenario's load, with the options' connections and rate unless given.

        With `users`, so many arrive meanwhile, and no rate is kept.
        """
        url = target.url + filled(scenario.path, self.record)
        if scenario.tool == "wrk":
            with machine.pinned(self.placement.load):
                return tools.run_wrk(
                    url,
                    duration_s=seconds,
                    connections=connections or self.options.connections,
                    script=scenario.script or tools.WRK_SCRIPT,
                    words=[str(fact) for fact in scenario.body_facts.values()],
                )
        return tools.run_locust(
            scenario.files,
            url,
            duration_s=seconds,
            users=users or self.options.users,
            rate=None if users else rate or self.rate(scenario),
            arrive_s=seconds if users else 0,
            prefixed=scenario.prefixed,
            counted=scenario.counted,
            spawner=self.spawner,
            cores=self.placement.load,
        )


def proxied(targets: Sequence[Target]) -> list[Target]:
    """Return the targets that faults happen to: an application alone has no other replica."""
    return [target for target in targets if target.name in PROXIES]


def said(one: Mapping[str, Any]) -> str:
    """Return a run or a point in a few words."""
    return f"{one['requests_per_s']:,.0f} requests/s" if one["valid"] else "NOT VALID: " + one["problems"][0]


def now() -> str:
    """Return the time."""
    return datetime.now(UTC).isoformat(timespec="seconds")
