"""The results of `./kit bench` as one JSON document, and what follows from its runs; see schema.json.

Everything that is shown (tables, pages, plots, comparisons) is made from the document alone.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtest import stats
from loadtest.histogram import merged, percentiles
from loadtest.provenance import ROOT
from loadtest.scenario import Scenario
from loadtest.stats import Interval
from loadtest.targets import DIRECT, Target
from loadtest.tools import Sample

__all__ = [
    "CLIENT_LIMIT",
    "FORMAT",
    "SCHEMA",
    "conclude",
    "conclusions",
    "problems_of",
    "read",
    "run_of",
    "write",
]

FORMAT = "pierhead-bench/1"
SCHEMA = Path(__file__).with_name("schema.json")
CLIENT_LIMIT = 0.9  # of a core: a client busier than this may be what was measured
RATE_KEPT = 0.95  # of the offered rate: with less, the target could not follow


class ResultError(Exception):
    """A file that holds no results; the message names it and the fix."""


def problems_of(sample: Sample, offered: float | None) -> list[str]:
    """Return why a run is not valid; nothing if it is."""
    problems = []
    if sample.errors:
        counted = ", ".join(f"{name} {count}" for name, count in sample.errors.items())
        problems.append(f"errors: {counted}" + (f": {sample.note}" if sample.note else ""))
    elif not sample.requests:
        problems.append("there were no answers")
    if sample.client_cpu > CLIENT_LIMIT:
        problems.append(
            f"the load generator used {sample.client_cpu:.0%} of a core, more than {CLIENT_LIMIT:.0%}:"
            " it may be what was measured"
        )
    if offered and sample.requests and sample.tasks < RATE_KEPT * offered * sample.seconds:
        done = sample.tasks / sample.seconds
        problems.append(f"only {done:.0f} of {offered:.0f} tasks a second were done")
    return problems


def run_of(
    scenario: Scenario,
    target: Target,
    turn: int,
    started: str,
    sample: Sample,
    *,
    offered: float | None,
    cpu_s: Mapping[str, float],
    memory_bytes: Mapping[str, float],
    database: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return one run as it stands in the document."""
    problems = problems_of(sample, offered)
    return {
        "scenario": scenario.name,
        "target": target.name,
        "round": turn,
        "started": started,
        "seconds": sample.seconds,
        "requests": sample.requests,
        "requests_per_s": sample.requests_per_s,
        "offered_per_s": offered,
        "latency_us": percentiles(sample.histogram),
        "histogram": [list(pair) for pair in sample.histogram],
        "hdr": sample.hdr or None,
        "counts": dict(sample.counts),
        "tasks": sample.tasks,
        "series": [list(entry) for entry in sample.series],
        "errors": dict(sample.errors),
        "note": sample.note,
        "client_cpu": sample.client_cpu,
        "cpu_s": dict(cpu_s),
        "memory_bytes": {role: int(size) for role, size in memory_bytes.items()},
        "database": None if database is None else dict(database),
        "command": sample.command.replace(f"{ROOT}/", ""),
        "valid": not problems,
        "problems": problems,
    }


def conclude(document: dict[str, Any]) -> None:
    """Write what follows from the runs into the document."""
    document["results"] = conclusions(document)
    document["rankings"] = rankings(document["results"])


def conclusions(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a result for each scenario and target that was to be run."""
    runs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in document["runs"]:
        runs.setdefault((run["scenario"], run["target"]), []).append(run)
    return [
        conclusion(
            document, scenario, target, runs.get((scenario, target), []), runs.get((scenario, DIRECT), [])
        )
        for scenario in document["scenarios"]
        for target in document["targets"]
    ]


def conclusion(
    document: Mapping[str, Any],
    scenario: str,
    target: str,
    runs: Sequence[Mapping[str, Any]],
    direct: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the result of all rounds of one scenario against one target; figures only if all are valid."""
    about = document["scenarios"][scenario]
    problems = sorted({problem for run in runs for problem in run["problems"]})
    result: dict[str, Any] = {
        "scenario": scenario,
        "target": target,
        "rounds": len(runs),
        "valid": bool(runs) and not problems,
        "problems": problems if runs else ["not run"],
        "measure": about["measure"],
        "value": None,
        "requests_per_s": None,
        "latency_us": {},
        "cpu_us_per_request": {},
        "ratio_to_direct": None,
    }
    if not result["valid"]:
        return result
    values = [value_of(run, about["measure"]) for run in runs]
    roles = {role for run in runs for role in run["cpu_s"]}
    result["value"] = asdict(stats.geometric(values))
    result["requests_per_s"] = asdict(stats.geometric([run["requests_per_s"] for run in runs]))
    result["latency_us"] = percentiles(merged(run["histogram"] for run in runs))
    result["cpu_us_per_request"] = {
        role: statistics.fmean(run["cpu_s"].get(role, 0.0) / run["requests"] * 1e6 for run in runs)
        for role in sorted(roles)
    }
    rounds = {run["round"]: value_of(run, about["measure"]) for run in direct if run["valid"]}
    if target != DIRECT and direct and all(run["valid"] for run in direct):
        pairs = [
            (value, rounds[run["round"]])
            for value, run in zip(values, runs, strict=True)
            if run["round"] in rounds
        ]
        if pairs and all(one > 0 and other > 0 for one, other in pairs):
            ratio = stats.ratio([one for one, _ in pairs], [other for _, other in pairs])
            result["ratio_to_direct"] = asdict(ratio)
    return result


def value_of(run: Mapping[str, Any], measure: str) -> float:
    """Return what a scenario is judged by: `requests_per_s`, or `p99_ms` where the rate is given."""
    return float(run["latency_us"]["p99"] / 1e3 if measure == "p99_ms" else run["requests_per_s"])


def rankings(results: Sequence[Mapping[str, Any]]) -> dict[str, list[list[str]]]:
    """Return scenario -> groups of targets, the best first; within a group no difference is shown.

    Only where every target has an interval, that is, with two or more rounds.
    """
    found = {}
    for scenario in dict.fromkeys(result["scenario"] for result in results):
        valid = [one for one in results if one["scenario"] == scenario and one["valid"]]
        intervals = {one["target"]: Interval(**one["value"]) for one in valid}
        if len(intervals) < 2 or not all(interval.known for interval in intervals.values()):
            continue
        groups = stats.ranking(intervals)
        less_is_better = valid[0]["measure"] == "p99_ms"
        found[scenario] = [group[::-1] for group in groups[::-1]] if less_is_better else groups
    return found


def write(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write `report.json` into a folder, whole or not at all; return its path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.json"
    part = folder / "report.json.part"
    try:
        part.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)  # on a full disk it is in everybody's way
        raise
    return path


def read(path: Path) -> dict[str, Any]:
    """Return the document in a file. Raises ResultError if it is none of ours."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultError(f"cannot read {path}: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ResultError(f"{path} is no report of ./kit bench (format {FORMAT})")
    needed = json.loads(SCHEMA.read_text(encoding="utf-8"))["required"]
    if missing := [part for part in needed if part not in document]:
        raise ResultError(f"{path} is not whole: it has no {', '.join(missing)}")
    return document
