"""What the runs say: medians, ratios and the tables, from the JSON document alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.peers.catalogue import OURS
from loadtest.peers.scenarios import CLIENT_LIMIT, SCENARIOS, Measurement, Scenario

__all__ = ["GOALS", "as_markdown", "as_text", "record", "summary"]

# Scenario -> server -> how many times as good as it Pierhead wants to be.
GOALS: dict[str, dict[str, float]] = {
    "minimal": {"uvicorn": 2.0, "granian-rsgi": 1.3, "socketify": 1.0, "uvicorn-h11": 10, "nginx": 0.55},
    "realistic": {"uvicorn": 1.6, "granian-rsgi": 1.1, "socketify": 0.8, "uvicorn-h11": 9, "nginx": 0.45},
    "download": {"uvicorn": 1.5},
    "upload": {"uvicorn": 1.5},
    "sse": {"uvicorn": 1.5},
    "websocket": {"uvicorn": 1.5},
}
# Pierhead with an application for another interface, a server of that interface with the same application,
# and how many times as many minimal requests Pierhead wants to answer.
SAME_APPLICATION = (("pierhead-asgi", "uvicorn", 1.2), ("pierhead-wsgi", "gunicorn-wsgi", 4.0))
MEMORY_GOAL_KIB = 4.0
PIPELINE_GOAL = 2.0  # times as many as one by one
DISTURBED = 0.1  # of the server's core, by other programs


@dataclass(frozen=True)
class Spread:
    """A median, and the lowest and the highest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return that of some values, at least one."""
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int) -> str:
        """Return it as `median (least-most)`."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}-{self.most:,.{digits}f})"


@dataclass(frozen=True)
class Line:
    """All rounds of one server in one scenario; `problem` says why there is no ratio."""

    server: str
    value: Spread | None
    cpu_us: Spread | None
    shares: tuple[float, float] | None  # of user and system in the processor time
    client_cpu: float | None
    ratio: Spread | None
    cpu_ratio: Spread | None
    goal: float | None
    problem: str
    disturbed: float


def record(scenario: Scenario, server: str, turn: int, measurement: Measurement) -> dict[str, Any]:
    """Return a measurement as it stands in the document."""
    cpu = measurement.cpu
    return {
        "scenario": scenario.name,
        "server": server,
        "round": turn,
        "unit": scenario.unit,
        "value": measurement.value,
        "amount": measurement.amount,
        "cpu": None if cpu is None else {"user_s": cpu.user_s, "system_s": cpu.system_s},
        "cpu_us": cpu.total_s / measurement.amount * 1e6 if cpu and measurement.amount else None,
        "client_cpu": measurement.client_cpu,
        "client_bound": measurement.client_bound,
        "disturbed": measurement.disturbed,
        "valid": measurement.valid,
        "errors": dict(measurement.errors),
        "note": measurement.note,
        "detail": dict(measurement.detail),
    }


def lines_of(document: Mapping[str, Any], scenario: Scenario) -> list[Line]:
    """Return the lines of one scenario's table, ours first."""
    by_server: dict[str, list[Mapping[str, Any]]] = {}
    for one in document["measurements"]:
        if one["scenario"] == scenario.name:
            by_server.setdefault(one["server"], []).append(one)
    ours = by_server.get(OURS, [])
    return [
        line_of(scenario, server, by_server[server], ours)
        for server in document["servers"]
        if server in by_server
    ]


def line_of(
    scenario: Scenario, server: str, runs: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]
) -> Line:
    """Return the line of one server."""
    problem = problem_of(scenario, runs)
    goal = GOALS.get(scenario.name, {}).get(server)
    shown = all(run["valid"] for run in runs)
    clients = [run["client_cpu"] for run in runs if run["client_cpu"] is not None]
    costs = [run["cpu_us"] for run in runs if run["cpu_us"] is not None and scenario.work]
    user = sum(run["cpu"]["user_s"] for run in runs if run["cpu"])
    system = sum(run["cpu"]["system_s"] for run in runs if run["cpu"])
    ratio = cpu_ratio = None
    if shown and server != OURS and ours and all(run["valid"] for run in ours):
        pairs = [(mine, run) for run in runs for mine in ours if mine["round"] == run["round"]]
        if pairs and not problem and not problem_of(scenario, ours):
            ratio = Spread.of([times_better(scenario, mine["value"], run["value"]) for mine, run in pairs])
        if pairs and costs and all(run["cpu_us"] and mine["cpu_us"] for mine, run in pairs):
            cpu_ratio = Spread.of([run["cpu_us"] / mine["cpu_us"] for mine, run in pairs])
    return Line(
        server=server,
        value=Spread.of([run["value"] for run in runs]) if shown else None,
        cpu_us=Spread.of(costs) if shown and costs else None,
        shares=(user / (user + system), system / (user + system)) if user + system else None,
        client_cpu=statistics.median(clients) if clients else None,
        ratio=ratio,
        cpu_ratio=cpu_ratio,
        goal=goal,
        problem=problem,
        disturbed=statistics.median([run["disturbed"] or 0.0 for run in runs]),
    )


def problem_of(scenario: Scenario, runs: Iterable[Mapping[str, Any]]) -> str:
    """Return why runs give no ratio; nothing if they do. The client is judged by the median of the rounds."""
    runs = list(runs)
    errors: dict[str, int] = {}
    for run in runs:
        for name, count in run["errors"].items():
            errors[name] = errors.get(name, 0) + count
    if errors or not all(run["valid"] for run in runs):
        said = next((run["note"] for run in runs if run["note"]), "")
        counted = ", ".join(f"{name} {count}" for name, count in errors.items()) or "no answers"
        return f"invalid, errors: {counted}" + (f": {said}" if said else "")
    if sum(run["client_bound"] for run in runs) * 2 > len(runs):
        if scenario.name == "latency":
            return "invalid: the client itself was late, so that its own waiting is in the figure"
        return (
            f"invalid: the client used more than {CLIENT_LIMIT:.0%} of its core, so that the figure is the"
            " client's limit; the server can do at least this"
        )
    return ""


def times_better(scenario: Scenario, ours: float, theirs: float) -> float:
    """Return how many times as good as theirs our value is."""
    return ours / theirs if scenario.more_is_better else theirs / ours


def summary(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return scenario -> server -> figures, for the document itself."""
    result: dict[str, Any] = {}
    for scenario in SCENARIOS:
        for line in lines_of(document, scenario):
            result.setdefault(scenario.name, {})[line.server] = {
                "value": line.value and vars(line.value),
                "cpu_us": line.cpu_us and vars(line.cpu_us),
                "client_cpu": line.client_cpu,
                "ratio": line.ratio and vars(line.ratio),
                "cpu_ratio": line.cpu_ratio and vars(line.cpu_ratio),
                "goal": line.goal,
                "problem": line.problem,
            }
    return result


def tables(document: Mapping[str, Any]) -> list[tuple[Scenario, list[str], list[list[str]], list[str]]]:
    """Return for each scenario that was run its heads, its rows, and remarks on them."""
    result = []
    for scenario in SCENARIOS:
        lines = lines_of(document, scenario)
        if not lines:
            continue
        heads = ["server", f"{scenario.unit}, median (min-max)", "times as good", "goal"]
        if any(line.cpu_us for line in lines):
            heads += [f"server CPU µs/{scenario.work}", "user/system", "times as little CPU", "client CPU"]
        rows = [row_of(scenario, line, len(heads)) for line in lines]
        remarks = [f"{line.server}: {line.problem}" for line in lines if line.problem]
        remarks += [
            f"{line.server}: other programs used {line.disturbed:.0%} of the server's core"
            for line in lines
            if line.disturbed > DISTURBED
        ]
        remarks += pair_remarks(document, scenario) + detail_remarks(document, scenario)
        result.append((scenario, heads, rows, remarks))
    return result


def row_of(scenario: Scenario, line: Line, width: int) -> list[str]:
    """Return the cells of one line."""
    value = line.value.text(scenario.digits) if line.value else "invalid"
    if line.value and line.problem:
        value = f"[{value}]"
    cells = [line.server, value, line.ratio.text(2) if line.ratio else "-"]
    if line.goal is None:
        cells.append("")
    elif line.ratio is None:
        cells.append(f"{line.goal:g}: ?")
    else:
        cells.append(f"{line.goal:g}: {met(line.ratio.median >= line.goal)}")
    if width > 4:
        cells.append(line.cpu_us.text(1) if line.cpu_us else "-")
        cells.append(
            "/".join(f"{share:.0%}" for share in line.shares) if line.shares and line.cpu_us else "-"
        )
        cells.append(line.cpu_ratio.text(2) if line.cpu_ratio else "-")
        cells.append("-" if line.client_cpu is None else f"{line.client_cpu:.0%}")
    return cells


def pair_remarks(document: Mapping[str, Any], scenario: Scenario) -> list[str]:
    """Return how Pierhead compares with other servers of the same application, through the same interface."""
    if scenario.work != "request" or not scenario.more_is_better:
        return []
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for one in document["measurements"]:
        if one["scenario"] == scenario.name:
            runs.setdefault(one["server"], []).append(one)
    remarks = []
    for mine, other, goal in SAME_APPLICATION:
        if mine not in runs or other not in runs or not all(one["valid"] for one in runs[mine] + runs[other]):
            continue
        line = line_of(scenario, other, runs[other], runs[mine])
        if line.ratio is None:
            continue
        said = f"{mine}: {line.ratio.text(2)} times as many as {other}"
        if line.cpu_ratio is not None:
            said += f", with {line.cpu_ratio.text(2)} times as little processor time each"
        if scenario.name == "minimal":
            said += f"; the goal is {goal:g}: {met(line.ratio.median >= goal)}"
        remarks.append(said)
    return remarks


def met(yes: bool) -> str:
    """Return whether a goal is met, in words."""
    return "met" if yes else "not met"


def by_name(name: str) -> Scenario:
    """Return a scenario."""
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def detail_remarks(document: Mapping[str, Any], scenario: Scenario) -> list[str]:
    """Return what a scenario says beside its values: goals of our own, and how the memory of streams grew."""
    remarks = []
    lines = {line.server: line for line in lines_of(document, scenario)}
    ours = lines.get(OURS)
    if ours is None or ours.value is None or ours.problem:
        return []
    mine = ours.value.median
    if scenario.name == "idle":
        remarks.append(f"{OURS}: the goal is at most {MEMORY_GOAL_KIB:g} KiB: {met(mine <= MEMORY_GOAL_KIB)}")
    if scenario.name == "latency":
        others = [
            line.value.median
            for line in lines.values()
            if line.value and line is not ours and not line.problem
        ]
        if others:
            best = min(others)
            remarks.append(f"{OURS}: the goal is the best peer's {best:.2f} ms: {met(mine <= best)}")
    if scenario.name == "pipelined":
        one_by_one = {line.server: line for line in lines_of(document, by_name("minimal"))}.get(OURS)
        if one_by_one and one_by_one.value and not one_by_one.problem:
            times = mine / one_by_one.value.median
            remarks.append(
                f"{OURS}: {times:.2f} times as many as one by one; the goal is {PIPELINE_GOAL:g}:"
                f" {met(times >= PIPELINE_GOAL)}"
            )
    if scenario.name in ("download", "upload"):
        for server in document["servers"]:
            grown = [
                one["detail"]["growth_bytes"]
                for one in document["measurements"]
                if one["scenario"] == scenario.name
                and one["server"] == server
                and "growth_bytes" in one["detail"]
            ]
            if grown:
                size = document["settings"]["stream_bytes"] / 1e6
                remarks.append(
                    f"{server}: {max(grown) / 2**20:.1f} MiB more memory at most for {size:,.0f} MB"
                )
    return remarks


def as_text(document: Mapping[str, Any]) -> str:
    """Return the tables for a terminal."""
    parts = []
    for scenario, heads, rows, remarks in tables(document):
        widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
        text = [scenario.title, ""]
        for row in (heads, ["-" * width for width in widths], *rows):
            cells = [
                cell.ljust(width) if index == 0 else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            text.append("  ".join(cells).rstrip())
        text += [f"  {remark}" for remark in remarks]
        parts.append("\n".join(text))
    return "\n\n".join([*parts, about(document)])


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return the tables for docs/benchmarks.md."""
    parts = []
    for scenario, heads, rows, remarks in tables(document):
        text = [f"### {scenario.title}", "", f"| {' | '.join(heads)} |"]
        text.append(f"| --- |{' ---: |' * (len(heads) - 1)}")
        text += [f"| {' | '.join(row)} |" for row in rows]
        if remarks:
            text += ["", *(f"- {remark}" for remark in remarks)]
        parts.append("\n".join(text))
    return "\n\n".join([*parts, about(document)])


def about(document: Mapping[str, Any]) -> str:
    """Return where and how the figures were made."""
    place, settings, machine = document["placement"], document["settings"], document["machine"]
    if place["pinned"]:
        where = (
            f"server on core {one_of(place['server_cores'])}, client on core {one_of(place['load_cores'])}"
        )
    else:
        where = "not pinned: server and client shared all cores"
    how = [
        f"{settings['rounds']} rounds of {settings['seconds']} s, {settings['connections']} connections",
        where,
        f"{machine['processor']}, {machine['system']} {machine['kernel']}",
        f"Python {document['versions']['python']}, {document['versions']['wrk']}",
        ", ".join(f"{name} {about['version']}" for name, about in document["servers"].items()),
        f"commit {document['commit'] or 'unknown'}",
        document["started"],
    ]
    partial = [] if document["complete"] else ["Interrupted: not all rounds are here."]
    skipped = [f"Without {name}: {reason}." for name, reason in document["skipped"].items()]
    return " ".join([*partial, "; ".join(how) + ".", *skipped]) + f"\n\nMade with: `{document['command']}`"


def one_of(cores: Sequence[int]) -> str:
    """Return core numbers as text."""
    return ", ".join(map(str, cores))
