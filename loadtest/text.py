"""The results of a run as text: a table for the terminal, and report.md. Made from the document alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.targets import DIRECT

__all__ = [
    "COST_HEADS",
    "FAULT_HEADS",
    "HEADS",
    "as_markdown",
    "as_text",
    "faults",
    "problems",
    "provenance",
    "proxy_costs",
    "rows",
    "verdicts",
]

HEADS = ("scenario", "target", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "vs direct")
FAULT_HEADS = ("fault", "target", "verdict", "requests", "failed", "rule")
COST_HEADS = ("scenario", "target", "requests/s", "p50 ms", "p99 ms", "CPU µs/request")


def rows(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the cells of the table: a result that is not valid has no figures."""
    found: list[tuple[str, ...]] = []
    for result in document["results"]:
        start = (result["scenario"], result["target"])
        if not result["valid"]:
            found.append((*start, "not valid" if result["rounds"] else "not run", "-", "-", "-", "-"))
            continue
        latency = result["latency_us"]
        cpu = served_us(result)
        ratio = result["ratio_to_direct"]
        found.append(
            (
                *start,
                interval(result["requests_per_s"], 0),
                f"{latency['p50'] / 1e3:.2f}" if latency else "-",
                f"{latency['p99'] / 1e3:.2f}" if latency else "-",
                f"{cpu:.0f}" if cpu else "-",
                ""
                if ratio is None
                else f"{'p99 ' if result['measure'] == 'p99_ms' else ''}× {interval(ratio, 2)}",
            )
        )
    return found


def interval(value: Mapping[str, Any], digits: int) -> str:
    """Return an interval as `value (low-high)`, or the value alone if it has no ends."""
    if value["low"] is None:
        return f"{value['value']:,.{digits}f}"
    return f"{value['value']:,.{digits}f} ({value['low']:,.{digits}f}-{value['high']:,.{digits}f})"


def verdicts(document: Mapping[str, Any]) -> list[str]:
    """Return what may be said about each scenario: an order where it is shown, and where it is not."""
    said = []
    for name, about in document["scenarios"].items():
        measure = "highest rate" if about["measure"] == "requests_per_s" else "lowest p99"
        groups = document["rankings"].get(name)
        if groups is None:
            said.append(f"{name}: no ranking; it needs two valid targets and more than one round")
        elif len(groups) == 1:
            said.append(f"{name}: no difference is shown between {' and '.join(groups[0])}")
        else:
            order = ", then ".join(" = ".join(group) for group in groups)
            said.append(f"{name}, {measure} first: {order} (= where no difference is shown)")
    return said


def proxy_costs(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return what each target does to rate, latency and processor time, next to the application itself."""
    direct = {one["scenario"]: one for one in document["results"] if one["target"] == DIRECT and one["valid"]}
    found: list[tuple[str, ...]] = []
    for result in document["results"]:
        base = direct.get(result["scenario"])
        if base is None or result["target"] == DIRECT or not result["valid"]:
            continue
        rate = result["requests_per_s"]["value"] / base["requests_per_s"]["value"] - 1
        latency, without = result["latency_us"], base["latency_us"]
        cpu = served_us(result) - served_us(base)
        found.append(
            (
                result["scenario"],
                result["target"],
                f"{rate:+.0%}" if result["measure"] == "requests_per_s" else "as offered",
                f"{(latency['p50'] - without['p50']) / 1e3:+.2f}",
                f"{(latency['p99'] - without['p99']) / 1e3:+.2f}",
                f"{cpu:+.0f}" if served_us(base) else "-",
            )
        )
    return found


def faults(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return how the targets stood what happened to them."""
    return [
        (
            one["title"],
            one["target"],
            "passed" if one["passed"] else "FAILED",
            f"{one['requests']:,}",
            ", ".join(f"{method} {count}" for method, count in one["failed"].items()) or "none",
            "; ".join([one["rule"], *one["problems"]]),
        )
        for one in document["faults"]
    ]


def served_us(result: Mapping[str, Any]) -> float:
    """Return the processor time of a request without the load generator's."""
    return sum(float(time) for role, time in result["cpu_us_per_request"].items() if role != "load")


def problems(document: Mapping[str, Any]) -> list[str]:
    """Return why results are not valid."""
    return [
        f"{result['scenario']} {result['target']}: {problem}"
        for result in document["results"]
        for problem in result["problems"]
        if result["rounds"]
    ]


def as_text(document: Mapping[str, Any]) -> str:
    """Return the results for a terminal."""
    text = aligned(HEADS, rows(document))
    if happened := faults(document):
        text += ["", *aligned(FAULT_HEADS, happened)]
    if wrong := problems(document):
        text += ["", "Not valid:", *(f"  {one}" for one in wrong)]
    text += ["", *verdicts(document)]
    text += [
        "",
        "In brackets: 95 % intervals over the rounds. Load, proxies, app and database share this machine:",
    ]
    text += ["compare the rows, not the numbers with others'."]
    return "\n".join(text)


def aligned(heads: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    widths = [max(len(line[column]) for line in (heads, *body)) for column in range(len(heads))]
    text = []
    for line in (heads, ["-" * width for width in widths], *body):
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    return text


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return report.md."""
    text = ["# Load test", ""]
    if not document["complete"]:
        text += ["**Interrupted: this is what had been measured until then.**", ""]
    text += [f"| {' | '.join(HEADS)} |", f"| --- | --- |{' ---: |' * (len(HEADS) - 2)}"]
    text += [f"| {' | '.join(row)} |" for row in rows(document)]
    text += ["", "In brackets: 95 % intervals over the rounds.", "", "## Verdicts", ""]
    text += [f"- {one}" for one in verdicts(document)]
    if wrong := problems(document):
        text += ["", "## Not valid", "", *(f"- {one}" for one in wrong)]
    if happened := faults(document):
        text += ["", "## Faults", "", f"| {' | '.join(FAULT_HEADS)} |", f"|{' --- |' * len(FAULT_HEADS)}"]
        text += [f"| {' | '.join(row)} |" for row in happened]
    text += ["", "## Scenarios", ""]
    text += [
        f"- `{name}`: {about['title']}. {about['about']}" for name, about in document["scenarios"].items()
    ]
    text += ["", "## How it was made", "", "| | |", "| --- | --- |"]
    text += [f"| {name} | {value} |" for name, value in provenance(document)]
    return "\n".join([*text, ""])


def data(dataset: Mapping[str, Any] | None) -> str:
    """Return what was in the database."""
    if dataset is None:
        return "unknown: its database could not be reached"
    tables = ", ".join(f"{rows:,} in {table}" for table, rows in dataset["tables"].items())
    return f"{dataset['rows']:,} rows from seed {dataset['seed']} ({dataset['sha256'][:12]}), so {tables}"


def provenance(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what it takes to judge a run and to repeat it, as names and values."""
    about, machine, settings = document["provenance"], document["machine"], document["settings"]
    return [
        ("repeat with", f"`{document['command']}`"),
        ("commit", about["commit"] or "unknown"),
        ("time", f"{document['started']} to {document['finished']}"),
        ("rounds", f"{settings['rounds']} of {settings['duration_s']} s"),
        ("wrk", f"{settings['connections']} connections"),
        ("locust", f"{settings['users']} users, {settings['rate']:g} requests/s"),
        ("placement", about["placement"]),
        ("data", data(document["dataset"])),
        (
            "machine",
            f"{machine['processor']}, {machine['cpus']} CPUs, {machine['system']} {machine['kernel']}",
        ),
        (
            "versions",
            ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version),
        ),
        ("settings", ", ".join(f"{name} {digest[:12]}" for name, digest in about["files"].items())),
    ]
