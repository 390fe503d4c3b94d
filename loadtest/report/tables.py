"""The tables of a report, from its document alone; terminal, report.md and page show the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest import stats
from loadtest.report import words
from loadtest.report.numbers import (
    ahead,
    cores_of,
    cores_used,
    costs,
    latency_ms,
    limit_of,
    pool_sizes,
    runs_of,
    served_us,
    valid_results,
)
from loadtest.stats import Interval
from loadtest.targets import PROXIES

__all__ = ["Table", "cores", "cost", "database", "faults", "memory", "pool", "ramps", "verdict"]

ROLES = ("load", "proxy", "app", "db")
NAMES = {"load": "load generator", "proxy": "proxy", "app": "application", "db": "database"}
WRITTEN = ("tup_inserted", "tup_updated", "tup_deleted")
# What PostgreSQL counts (pg_stat_database, pg_stat_statements): for each request, or all of it.
EACH: dict[str, tuple[str, ...]] = {
    "statements": ("calls",),
    "transactions": ("xact_commit",),
    "rows fetched": ("tup_fetched",),
    "rows written": WRITTEN,
    "WAL bytes": ("wal_bytes",),
}
ALL = {
    "all: rolled back": "xact_rollback",
    "all: deadlocks": "deadlocks",
    "all: temporary bytes": "temp_bytes",
}


@dataclass(frozen=True)
class Table:
    """A table: what it is, its columns, its rows. The first `names` columns say what a row is about.

    The cells of the last column are words, not figures, if it is `worded`. `marks` has for each row whether
    it is a bad one; nothing means that none is.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 2
    marks: Sequence[bool] = ()
    worded: bool = False


def verdict(document: Mapping[str, Any]) -> Table:
    """Return the results: what is not valid has no figures."""
    places = {
        (name, target): place
        for name in document["scenarios"]
        for target, place in placed(valid_results(document, name)).items()
    }
    rows, marks = [], []
    for result in document["results"]:
        start = (result["scenario"], result["target"])
        marks.append(bool(result["rounds"]) and not result["valid"])
        if not result["valid"]:
            rows.append((*start, "-", "not valid" if result["rounds"] else "not run", *("-",) * 4))
            continue
        runs = runs_of(document, *start)
        ratio = result["ratio_to_direct"]
        what = "p99 " if result["measure"] == "p99_ms" else ""
        rows.append(
            (
                *start,
                places.get(start, "-"),
                words.estimate(Interval(**result["requests_per_s"])),
                words.amount(stats.geometric([latency_ms(run, "p50") for run in runs]).value),
                words.estimate(stats.geometric([latency_ms(run, "p99") for run in runs])),
                per_request(runs),
                f"{what}{words.times(Interval(**ratio))}" if ratio else "",
            )
        )
    heads = (
        "scenario",
        "target",
        "place",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU µs/request",
        "against direct",
    )
    return Table("Results of each scenario and target", heads, rows, marks=marks)


def placed(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return target -> its place, or the first and last that it may have: those between are not shown.

    Nothing where an interval is missing, or there is nothing to compare with.
    """
    if len(results) < 2 or any(result["value"]["low"] is None for result in results):
        return {}
    better = ahead(results)
    found = {}
    for name, behind in better.items():
        first = 1 + sum(name in others for others in better.values())
        last = len(better) - len(behind)
        found[name] = str(first) if first == last else f"{first}{words.DASH}{last}"
    return found


def per_request(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the processor time of a request without the load generator's."""
    found = [time for run in runs if (time := served_us(run)) is not None]
    return words.amount(stats.mean(found).value) if found else "-"


def cost(document: Mapping[str, Any]) -> Table:
    """Return what each target adds to the application alone."""
    rows = [
        (
            one.scenario,
            one.target,
            words.percent(one.rate) if one.rate else "as offered",
            words.difference(one.p50_ms),
            words.difference(one.p99_ms),
            words.difference(one.cpu_us) if one.cpu_us else "-",
        )
        for one in costs(document)
    ]
    heads = ("scenario", "target", "requests/s", "p50 ms", "p99 ms", "CPU µs/request")
    return Table("Differences to the application alone, of runs of the same round", heads, rows)


def cores(document: Mapping[str, Any]) -> Table:
    """Return how many cores each role kept busy, and what that says about the rate."""
    rows = []
    for result in document["results"]:
        if not result["valid"]:
            continue
        runs = runs_of(document, result["scenario"], result["target"])
        used = by_kind(cores_used(runs))
        rows.append(
            (
                result["scenario"],
                result["target"],
                *(f"{used[role]:.2f}" if role in used else "-" for role in ROLES),
                f"{sum(used.values()):.2f}",
                limit_of(document, result["scenario"], runs),
            )
        )
    heads = (
        "scenario",
        "target",
        *(NAMES[role] for role in ROLES),
        f"all, of {cores_of(document)}",
        "what was the limit",
    )
    return Table("Cores kept busy, on average", heads, rows, worded=True)


def by_kind(roles: Mapping[str, float]) -> dict[str, float]:
    """Return figures by role with proxies as one, and other servers as applications."""
    found: dict[str, float] = {}
    for role, value in roles.items():
        kind = role if role in NAMES else "proxy" if role in PROXIES else "app"
        found[kind] = found.get(kind, 0.0) + value
    return {role: found[role] for role in ROLES if role in found}


def memory(document: Mapping[str, Any]) -> Table:
    """Return the most memory that each role was seen with, at the end of a run."""
    most: dict[str, float] = {}
    for run in document["runs"]:
        for role, value in run["memory_bytes"].items():
            most[role] = max(most.get(role, 0.0), value)
    rows = [(NAMES.get(role, role), words.size(value)) for role, value in most.items() if value]
    return Table(
        "Memory of all processes of a role, the most after any run", ("role", "memory"), rows, names=1
    )


def database(document: Mapping[str, Any]) -> Table:
    """Return what PostgreSQL counted during the runs of each valid result."""
    columns: dict[tuple[str, str], dict[str, str]] = {}
    for result in document["results"]:
        runs = runs_of(document, result["scenario"], result["target"]) if result["valid"] else []
        if counted := [run["database"] for run in runs if run.get("database")]:
            requests = sum(run["requests"] for run in runs if run.get("database"))
            columns[result["scenario"], result["target"]] = database_cells(counted, requests)
    heads = list(dict.fromkeys(head for cells in columns.values() for head in cells))
    rows = [(*start, *(cells.get(head, "-") for head in heads)) for start, cells in columns.items()]
    return Table(
        "What PostgreSQL counted, for each request unless the head says something else",
        ("scenario", "target", *heads),
        rows,
    )


def database_cells(counted: Sequence[Mapping[str, float]], requests: int) -> dict[str, str]:
    """Return head -> cell for what was counted in some runs with so many requests together."""
    total = {name: sum(one.get(name, 0) for one in counted) for one in counted for name in one}
    cells = {
        head: words.amount(sum(total[name] for name in names) / max(requests, 1))
        for head, names in EACH.items()
        if all(name in total for name in names)
    }
    if total.get("calls") and "exec_ms" in total:
        cells["µs/statement"] = words.amount(total["exec_ms"] * 1000 / total["calls"])
    if touched := total.get("blks_hit", 0) + total.get("blks_read", 0):
        cells["% from memory"] = f"{total.get('blks_hit', 0) / touched:.1%}".rstrip("%")
    cells |= {head: words.amount(total[name]) for head, name in ALL.items() if name in total}
    if "connections" in total:
        cells["connections"] = words.amount(max(one.get("connections", 0) for one in counted))
    return cells


def pool(document: Mapping[str, Any]) -> Table:
    """Return what the application did with pools of different sizes."""
    found = pool_sizes(document)
    rows = [
        (
            str(one.size),
            words.estimate(one.rate) if one.rate else "not valid",
            words.estimate(one.p99_ms) if one.p99_ms else "-",
        )
        for one in found
    ]
    heads = ("connections", "requests/s", "p99 ms")
    return Table(
        "Connections of the pool to the database", heads, rows, 1, [bool(one.problems) for one in found]
    )


def ramps(document: Mapping[str, Any]) -> Table:
    """Return what became of each ramp of users."""
    rows = []
    for one in document.get("ramps", ()):
        series = one["series"]
        best = max(series, key=lambda entry: entry[2], default=None)
        rows.append(
            (
                one["scenario"],
                one["target"],
                f"{one['users']:,}",
                f"{best[2]:,} with {best[1]:,} users" if best else "-",
                words.amount(series[-1][5] / 1e3) if series else "-",
                f"{sum(entry[3] for entry in series):,}",
                "; ".join(one["problems"]),
            )
        )
    heads = ("scenario", "target", "users", "most requests/s", "p99 ms at the end", "failed", "remarks")
    marks = [not one["valid"] for one in document.get("ramps", ())]
    return Table("Users that arrive one after the other", heads, rows, marks=marks, worded=True)


def faults(document: Mapping[str, Any]) -> Table:
    """Return how the targets stood what happened to them."""
    rows = [
        (
            one["title"],
            one["target"],
            "passed" if one["passed"] else "FAILED",
            f"{one['requests']:,}",
            (", ".join(f"{method} {count}" for method, count in one["failed"].items()) or "none")
            if one["requests"]
            else "-",
            "; ".join([one["rule"], *(problem.partition(":")[0] for problem in one["problems"])]),
        )
        for one in document["faults"]
    ]
    heads = ("fault", "target", "verdict", "requests", "failed", "rule")
    marks = [not one["passed"] for one in document["faults"]]
    return Table("Faults under load", heads, rows, marks=marks, worded=True)
