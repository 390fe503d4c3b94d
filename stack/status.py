"""What runs and how it is: for people as a table, for programs as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stack.service import probe
from stack.state import Record, Run

__all__ = ["status", "table"]


def status(run: Run | None) -> dict[str, dict[str, Any]]:
    """Return role -> {url, pid, version, healthy, problem, log, ...}; `app` also has `replicas`.

    Empty when nothing was started. `problem` is there when `healthy` is false, and says why.
    """
    if run is None or not run.records:
        return {}
    with ThreadPoolExecutor(len(run.records)) as pool:
        problems = list(pool.map(problem, run.records))
    result: dict[str, dict[str, Any]] = {}
    for record, what in zip(run.records, problems, strict=True):
        facts: dict[str, Any] = {
            "url": record.url,
            "pid": record.process.pid,
            "version": record.version,
            "healthy": not what,
            "log": record.log,
            **record.more,
        }
        if what:
            facts["problem"] = what
        if record.role != "app":
            result[record.role] = facts
        elif "app" in result:
            result["app"]["replicas"].append({"name": record.name, **facts})
        else:
            result["app"] = {**facts, "replicas": [{"name": record.name, **facts}]}
    if app := result.get("app"):
        broken = [one for one in app["replicas"] if not one["healthy"]]
        app["healthy"] = not broken
        if broken:
            app["problem"] = "; ".join(f"{one['name']}: {one['problem']}" for one in broken)
    return result


def problem(record: Record) -> str:
    """Return what is wrong with a process; nothing if it is well."""
    if not record.process.alive():
        return "not running any more"
    return probe(record.probe)


def table(run: Run) -> str:
    """Return what was started as a table: name, URL, pid, version."""
    rows: list[Sequence[str]] = [("ROLE", "URL", "PID", "VERSION")]
    rows += [(one.name, one.url, str(one.process.pid), one.version) for one in run.records]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join(lines)
