"""`pierhead status`: shows the workers of a running server."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from pierhead.cli.options import add_config, add_settings, configuration
from pierhead.cli.parser import Parser
from pierhead.errors import ConfigError

__all__ = ["fetch", "main", "render"]

_HEAD = ("worker", "state", "age", "connections", "in flight", "requests", "5xx", "lag", "memory")
_ANSWER_TIMEOUT_S = 5.0


def main(argv: Sequence[str]) -> int:
    """Show it: 0, or 1 where no server answers. Raises ConfigError."""
    from pierhead.supervisor.control import ControlError

    parser = Parser("status", "Show the workers of a running server.")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    add_config(parser)
    add_settings(parser, ["control_socket"])
    given = parser.parse(argv)
    try:
        status = fetch(configuration(given).settings.control_socket)
    except ControlError as error:
        print(f"pierhead: {error}", file=sys.stderr)
        return 1
    print(json.dumps(status, indent=2) if given["json"] else render(status))
    return 0


def fetch(control_socket: str) -> dict[str, Any]:
    """Ask the server; raises ControlError, and ConfigError where it has no socket."""
    from pierhead.supervisor.control import ask, find

    if not control_socket:
        raise ConfigError("control_socket is empty: the server has none")
    return ask(find(control_socket), _ANSWER_TIMEOUT_S, command="status")


def render(status: dict[str, Any]) -> str:
    """Return the status as text."""
    lines = [
        f"{status['app']} on {', '.join(status['listen'])}: {status['state']} (master {status['pid']})",
        "",
    ]
    rows: list[tuple[str, ...]] = [_HEAD]
    notes = []
    for generation in status["generations"]:
        for worker in generation["workers"]:
            rows.append(_row(generation, worker))
            notes += _processes(worker)
            notes += [f"  {worker['pid']} works on {what}" for what in worker["in_progress"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        cells += [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    if notes:
        lines += ["", *notes]
    if status["events"]:
        lines += ["", *(f"  {event['time']} {event['what']}" for event in status["events"][-5:])]
    return "\n".join(lines)


def _row(generation: dict[str, Any], worker: dict[str, Any]) -> tuple[str, ...]:
    silent = worker["silent_s"]
    state = f"silent for {silent:.0f} s" if silent > 2 and worker["state"] != "starting" else worker["state"]
    return (
        f"{generation['number']}.{worker['slot']} [{worker['pid']}]",
        state,
        _age(worker["age_s"]),
        str(worker["connections"]),
        str(worker["in_flight"]),
        str(worker["requests"]),
        str(worker["errors"]),
        f"{worker['lag_s'] * 1000:.0f} ms",
        f"{worker['memory_bytes'] / (1 << 20):.0f} MiB",
    )


def _processes(worker: dict[str, Any]) -> list[str]:
    """Return a line about the isolated processes of a worker that has some."""
    counts = worker["processes"]
    if not counts["all"]:
        return []
    texts = [f"{counts[name]} {name}" for name in ("busy", "waiting", "crashed", "killed") if counts[name]]
    rest = f": {', '.join(texts)}" if texts else ""
    return [f"  {worker['pid']} has {counts['all']} isolated processes{rest}"]


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
