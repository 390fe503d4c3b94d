"""What a report shows besides what its document says outright: intervals, differences, cores in use."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest import stats
from loadtest.results import CLIENT_LIMIT
from loadtest.stats import Interval
from loadtest.targets import DIRECT

__all__ = [
    "BUSY",
    "Cost",
    "PoolSize",
    "ahead",
    "cores_of",
    "cores_used",
    "costs",
    "latency_ms",
    "limit_of",
    "pool_sizes",
    "runs_of",
    "served_us",
    "servers_cores",
    "valid_results",
]

Run = Mapping[str, Any]
BUSY = 0.9  # of the machine's cores: with more there was hardly anything left


@dataclass(frozen=True)
class Cost:
    """What a target adds to the application alone: differences of runs of the same round, per request.

    `rate` is a ratio; it is None where the rate was given. `cpu_us` is without the load generator's time.
    """

    scenario: str
    target: str
    rate: Interval | None
    p50_ms: Interval
    p99_ms: Interval
    cpu_us: Interval | None


@dataclass(frozen=True)
class PoolSize:
    """What the application did with a pool of `size` connections; no intervals with problems.

    `rates` are those of each round.
    """

    size: int
    rates: Mapping[int, float]
    rate: Interval | None
    p99_ms: Interval | None
    problems: Sequence[str]


def runs_of(document: Mapping[str, Any], scenario: str, target: str) -> list[Run]:
    """Return the runs of a scenario against a target, in the order of their rounds."""
    return [run for run in document["runs"] if (run["scenario"], run["target"]) == (scenario, target)]


def valid_results(document: Mapping[str, Any], scenario: str) -> list[Mapping[str, Any]]:
    """Return the results of a scenario that may be shown."""
    return [one for one in document["results"] if one["scenario"] == scenario and one["valid"]]


def latency_ms(run: Run, percentile: str) -> float:
    """Return a percentile (`p50`, `p99`, ...) of a run or a point in milliseconds."""
    return float(run["latency_us"][percentile]) / 1e3


def served_us(run: Run) -> float | None:
    """Return the processor time of a request without the load generator's; None where it is not known."""
    served = [seconds for role, seconds in run["cpu_s"].items() if role != "load"]
    return sum(served) / run["requests"] * 1e6 if served and run["requests"] else None


def cores_used(runs: Sequence[Run]) -> dict[str, float]:
    """Return role -> how many cores it kept busy, on average over the runs."""
    timed = [run for run in runs if run["seconds"] > 0]
    roles = dict.fromkeys(role for run in timed for role in run["cpu_s"])
    return {
        role: statistics.fmean(run["cpu_s"].get(role, 0.0) / run["seconds"] for run in timed)
        for role in roles
    }


def cores_of(document: Mapping[str, Any]) -> int:
    """Return how many cores the run could use."""
    machine = document["machine"]
    return len(machine.get("usable_cores") or ()) or int(machine["cpus"])


def servers_cores(document: Mapping[str, Any]) -> int:
    """Return how many cores the servers could use: with --pin, the load generator has one for itself."""
    return max(cores_of(document) - bool(document["provenance"]["pinned"]), 1)


def limit_of(document: Mapping[str, Any], scenario: str, runs: Sequence[Run]) -> str:
    """Return what kept the rate from being higher, as far as the processor time tells."""
    used = cores_used(runs)
    if not used:
        return "not known"
    if used.get("load", 0.0) > CLIENT_LIMIT:
        return "the load generator's core"
    if sum(used.values()) > BUSY * cores_of(document):
        return "all cores are busy"
    served = sum(cores for role, cores in used.items() if role != "load")
    if served > BUSY * (there := servers_cores(document)):
        return f"the servers' core{'s are' if there > 1 else ' is'} busy"
    if document["scenarios"][scenario]["rate"] is not None:
        return "nothing: the rate was given"
    return "no lack of processor time"


def costs(document: Mapping[str, Any]) -> list[Cost]:
    """Return what each target costs in each scenario that was valid for it and for the application alone."""
    valid = {(one["scenario"], one["target"]): one for one in document["results"] if one["valid"]}
    found = []
    for (scenario, target), result in valid.items():
        if target == DIRECT or (scenario, DIRECT) not in valid:
            continue
        base = {run["round"]: run for run in runs_of(document, scenario, DIRECT)}
        pairs = [
            (run, base[run["round"]]) for run in runs_of(document, scenario, target) if run["round"] in base
        ]
        if not pairs:
            continue
        ratio = None
        if result["measure"] == "requests_per_s":
            ratio = stats.ratio(
                *zip(*((a["requests_per_s"], b["requests_per_s"]) for a, b in pairs), strict=True)
            )
        found.append(
            Cost(
                scenario,
                target,
                ratio,
                difference(pairs, lambda run: latency_ms(run, "p50")),
                difference(pairs, lambda run: latency_ms(run, "p99")),
                difference(pairs, lambda run: served_us(run) or 0.0)
                if all(served_us(run) is not None for pair in pairs for run in pair)
                else None,
            )
        )
    return found


def difference(pairs: Iterable[tuple[Run, Run]], value: Callable[[Run], float]) -> Interval:
    """Return the mean difference of something between runs of the same round."""
    return stats.mean([value(one) - value(other) for one, other in pairs])


def ahead(results: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return target -> the targets that it is shown to be better than: their intervals do not overlap."""
    found: dict[str, list[str]] = {}
    for one in results:
        mine = Interval(**one["value"])
        sign = -1 if one["measure"] == "p99_ms" else 1
        found[one["target"]] = [
            other["target"]
            for other in results
            if not mine.overlaps(theirs := Interval(**other["value"]))
            and sign * mine.value > sign * theirs.value
        ]
    return found


def pool_sizes(document: Mapping[str, Any]) -> list[PoolSize]:
    """Return what each size of the pool did, from the smallest to the largest."""
    sizes: dict[int, list[Run]] = {}
    for run in document.get("pool", ()):
        sizes.setdefault(run["size"], []).append(run)
    found = []
    for size, runs in sorted(sizes.items()):
        if problems := sorted({problem for run in runs for problem in run["problems"]}):
            found.append(PoolSize(size, {}, None, None, problems))
            continue
        rates = {run["round"]: run["requests_per_s"] for run in runs}
        rate = stats.geometric(list(rates.values()))
        found.append(
            PoolSize(size, rates, rate, stats.geometric([latency_ms(run, "p99") for run in runs]), ())
        )
    return found
