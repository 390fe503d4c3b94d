"""What may be said about a run in sentences: what is not valid, what is shown, what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from loadtest import stats
from loadtest.report import words
from loadtest.report.numbers import ahead, pool_sizes, valid_results

__all__ = ["all_well", "faults", "interval_note", "pool", "problems", "provenance", "status", "verdicts"]


def status(document: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether all is valid and passed, and in a sentence what is not."""
    results, stood = document["results"], document["faults"]
    wrong = [one for one in results if one["rounds"] and not one["valid"]]
    missing = [one for one in results if not one["rounds"]]
    failed = [one for one in stood if not one["passed"]]
    said = []
    if not document["complete"]:
        said.append("Interrupted: this is what had been measured until then.")
    if wrong and len(wrong) == len(results):
        said.append("No result is valid, so there are no figures.")
    elif wrong:
        said.append(f"{len(wrong)} of {len(results)} results are not valid and have no figures.")
    if missing:
        said.append(f"{len(missing)} of {len(results)} were not run.")
    if failed:
        said.append(f"{len(failed)} of {len(stood)} faults were not stood.")
    if said:
        return False, " ".join(said)
    if not results:
        return False, "There is no result."
    more = f", and all {len(stood)} faults were stood" if stood else ""
    return True, f"All {len(results)} results are valid{more}."


def all_well(document: Mapping[str, Any]) -> bool:
    """Tell whether all that was to be measured is valid, and every fault was stood."""
    measured = [*document["results"], *document.get("pool", ()), *document.get("ramps", ())]
    return all(one["valid"] for one in measured) and all(one["passed"] for one in document["faults"])


def problems(document: Mapping[str, Any]) -> list[str]:
    """Return why results are not valid."""
    found = [
        f"{result['scenario']} {result['target']}: {problem}"
        for result in document["results"]
        for problem in result["problems"]
        if result["rounds"]
    ]
    found += [f"pool of {one.size}: {problem}" for one in pool_sizes(document) for problem in one.problems]
    found += [
        f"ramp of {one['scenario']} {one['target']}: {problem}"
        for one in document.get("ramps", ())
        for problem in one["problems"]
    ]
    found += [
        f"fault {one['fault']} {one['target']}: {problem}"
        for one in document["faults"]
        for problem in one["problems"]
    ]
    return found


def verdicts(document: Mapping[str, Any]) -> list[str]:
    """Return what may be said about each scenario: an order where it is shown, and where it is not."""
    return [
        f"{name}{said(about, valid_results(document, name))}" for name, about in document["scenarios"].items()
    ]


def said(about: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> str:
    """Return what may be said about the valid results of one scenario."""
    if not results:
        return ": nothing can be said, because no result is valid"
    if len(results) == 1:
        return f": no ranking, because {results[0]['target']} is the only valid target"
    if any(result["value"]["low"] is None for result in results):
        return ": no ranking, because one round has no interval"
    better = ahead(results)
    order = sorted(better, key=lambda name: -len(better[name]))
    pairs = list(combinations(order, 2))
    shown = [pair for pair in pairs if pair[1] in better[pair[0]]]
    if not shown:
        return f": no order is shown between {words.several(order)}"
    measure = "highest rate" if about["measure"] == "requests_per_s" else "lowest p99"
    if len(shown) == len(pairs):
        return f", {measure} first: {', then '.join(order)}"
    first = "; ".join(f"{name} before {words.several(better[name])}" for name in order if better[name])
    return f", {measure} first: {first}. No other order is shown"


def pool(document: Mapping[str, Any]) -> str:
    """Return what the pool's sizes show: the least that the fastest is not shown to be faster than."""
    measured = [one for one in pool_sizes(document) if one.rate]
    if not measured:
        return "No size has a valid result."
    best = max(measured, key=lambda one: one.rate.value if one.rate else 0)
    rounds = set.intersection(*(set(one.rates) for one in measured))
    if len(measured) < 2:
        return f"Only the pool of {best.size} has valid results, so there is nothing to compare."
    if len(rounds) < 2:
        return f"The highest rate was with {best.size}; one round says no more."
    for one in measured:
        ratio = stats.ratio([best.rates[turn] for turn in rounds], [one.rates[turn] for turn in rounds])
        if one is best or ratio.low is None or ratio.low <= 1:
            break
    if one is measured[-1]:
        return f"The largest pool, {one.size}, is shown to be faster than the others."
    return f"No pool is shown to be faster than that of {one.size}, by ratios of the same round."


def faults(document: Mapping[str, Any]) -> str:
    """Return how many faults were stood."""
    stood = [one["passed"] for one in document["faults"]]
    return (
        f"{sum(stood)} of {len(stood)} were stood. Each has its own rule for what a proxy may not let fail."
    )


def data(dataset: Mapping[str, Any] | None) -> str:
    """Return what was in the database."""
    if dataset is None:
        return "unknown: its database could not be reached"
    tables = ", ".join(f"{rows:,} in {table}" for table, rows in dataset["tables"].items())
    return f"{dataset['rows']:,} rows from seed {dataset['seed']} ({dataset['sha256'][:12]}), so {tables}"


def processes(document: Mapping[str, Any]) -> str:
    """Return how many processes each role had, and whether they were the same throughout."""
    counted = document["provenance"].get("processes") or {}
    each = ", ".join(f"{role} {count}" for role, count in counted.items())
    renewed = document["settings"]["renewed"]
    kept = "new ones of the application for each round" if renewed else "the same throughout"
    return f"{each}; {kept}" if each else kept


def provenance(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what it takes to judge a run and to repeat it, as names and values."""
    about, machine, settings = document["provenance"], document["machine"], document["settings"]
    pairs = [
        ("commit", about["commit"] or "unknown"),
        ("time", f"{document['started']} to {document['finished']}"),
        ("rounds", f"{settings['rounds']} of {settings['duration_s']} s"),
        ("processes", processes(document)),
        ("wrk", f"{settings['connections']} connections"),
        ("locust", f"{settings['users']} users, {settings['rate']:g} requests/s"),
        ("stack", about["stack"]),
        ("placement", about["placement"]),
        ("data", data(document["dataset"])),
        (
            "machine",
            f"{machine['processor']}, {machine['cpus']} CPUs, {machine['system']} {machine['kernel']}",
        ),
        ("memory", words.size(machine.get("memory_bytes") or 0)),
        ("open files", f"at most {machine.get('open_files_limit') or 0:,}"),
        (
            "versions",
            ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version),
        ),
        ("targets", ", ".join(f"{name} {one['url']}" for name, one in document["targets"].items())),
        ("settings", ", ".join(f"{name} {digest[:12]}" for name, digest in about["files"].items())),
    ]
    return [(name, value) for name, value in pairs if value]


def interval_note(document: Mapping[str, Any]) -> str:
    """Return how to read the figures."""
    rounds = document["settings"]["rounds"]
    if rounds < 2:
        return "One round has no interval, so no order is claimed."
    return f"In brackets: 95 % intervals over {rounds} rounds. A place of 1–3: which of these is not shown."
