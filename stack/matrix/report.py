"""What the matrix says: a table for the terminal, matrix.json, and docs/matrix.md, which is made from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stack.matrix.check import Cell, Check
from stack.matrix.target import Target
from stack.state import ROOT

__all__ = ["PAGE", "as_json", "page", "summary", "table", "write"]

PAGE = ROOT / "docs" / "matrix.md"
TITLES = {"direct": "direct", "caddy": "Caddy", "nginx": "nginx", "apache": "Apache"}
BY_GATEWAY_TITLES = {
    "nginx-fastcgi": "nginx, FastCGI",
    "nginx-scgi": "nginx, SCGI",
    "apache-fastcgi": "Apache, FastCGI",
    "apache-scgi": "Apache, SCGI",
    "caddy-fastcgi": "Caddy, FastCGI",
}
SIGNS = {"pass": "ok", "differs": "differs", "fail": "FAIL"}
HEAD = """\
# What your application sees behind each proxy

Made by `./kit matrix --docs` from real requests through the files in [proxy/](../proxy/README.md), each in
the real program in front of one and of two replicas; `tests/matrix` fails when this page is not true any
more. *direct* is the server without a proxy. **ok**: as in the second column. Anything else is what comes
instead, and why.

    ./kit matrix                                  all of it, with one replica and with two
    ./kit matrix --proxy nginx --check range      one proxy, the checks with `range` in their names
    ./kit matrix --list                           the checks
    ./kit matrix --json matrix.json               every outcome, and how long events took

The proxies wait 8 s for an answer here instead of 130 s; everything else is as shipped. The same checks run
against the containers of `docker-compose.yml` (`tests/compose`), except those that end, freeze or reload
processes, or need a folder that all replicas share: *local* in the list. The tests make every check with two
replicas, and with one those that the number matters for; `./kit matrix` makes all of them with both.
"""
BY_GATEWAY_HEAD = """
## By FastCGI and SCGI

Some of the same, through the files for [FastCGI and SCGI](protocols.md) as they are copied, with one replica.

"""


def as_json(
    cells: Iterable[Cell], checks: Mapping[str, Check], targets: Iterable[Target], skipped: Mapping[str, str]
) -> dict[str, Any]:
    """Return everything that was found out, for matrix.json."""
    return {
        "checks": {
            check.name: {
                "group": check.group,
                "about": check.about,
                "right": check.expect,
                "local": check.local,
            }
            for check in checks.values()
        },
        "targets": [
            {
                "name": target.name,
                "replicas": target.replicas,
                "version": target.version,
                "latencies_ms": target.latencies_ms,
            }
            for target in targets
        ],
        "skipped": dict(skipped),
        "cells": [asdict(cell) for cell in cells],
    }


def page(result: Mapping[str, Any]) -> str:
    """Return docs/matrix.md for the content of matrix.json: outcomes, not what changes with the machine."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for cell in result["cells"]:
        found.setdefault(cell["check"], {}).setdefault(cell["target"], []).append(cell)
    parts, reasons, group = [HEAD], dict[str, int](), ""
    for name, check in result["checks"].items():
        if not found.get(name, {}).keys() & TITLES.keys():
            continue
        if check["group"] != group:
            group = check["group"]
            parts.append(f"\n## {group}\n\n| | right | {' | '.join(TITLES.values())} |\n|{' --- |' * 6}\n")
        cells = [_cell(found[name].get(target, []), reasons) for target in TITLES]
        parts.append(f"| {_text(check['about'])} | {_text(check['right'])} | {' | '.join(cells)} |\n")
    parts += _by_gateway(result["checks"], found, reasons)
    parts.append("\n## Why\n\n")
    parts += [f"{number}. {_sentence(reason)}\n" for reason, number in reasons.items()]
    return "".join(parts)


def _by_gateway(
    checks: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, list[dict[str, Any]]]],
    reasons: dict[str, int],
) -> list[str]:
    """Return the part of the page about FastCGI and SCGI; nothing where no such cell was found out."""
    rows = []
    for name, check in checks.items():
        by_target = found.get(name, {})
        if by_target.keys() & BY_GATEWAY_TITLES.keys():
            cells = [_cell(by_target.get(target, []), reasons) for target in BY_GATEWAY_TITLES]
            rows.append(f"| {_text(check['about'])} | {_text(check['right'])} | {' | '.join(cells)} |\n")
    if not rows:
        return []
    titles = ["", "right", *BY_GATEWAY_TITLES.values()]
    return [BY_GATEWAY_HEAD, f"| {' | '.join(titles)} |\n|{' --- |' * len(titles)}\n", *rows]


def _cell(cells: Sequence[Mapping[str, Any]], reasons: dict[str, int]) -> str:
    """Return one cell of the page; outcomes that depend on the number of replicas stand side by side."""
    texts = []
    for cell in cells:
        if cell["verdict"] == "pass":
            text = "ok"
        elif cell["verdict"] == "differs":
            number = reasons.setdefault(cell["reason"], len(reasons) + 1)
            text = f"{_text(cell['outcome'])} ({number})"
        else:
            text = f"**fails**: {_text(cell['outcome'])}"
        if text not in texts:
            texts.append(text)
    return " / ".join(texts)


def _sentence(text: str) -> str:
    """Return a reason as a sentence; nginx keeps its small letter."""
    return f"{text if text.startswith('nginx') else text[0].upper() + text[1:]}."


def _text(text: str) -> str:
    """Return text for a cell of a Markdown table."""
    return text.replace("|", "\\|")


def table(cells: Sequence[Cell], checks: Mapping[str, Check]) -> str:
    """Return the matrix for a terminal: a line for each check, and below it what is not simply right."""
    width = max(60, min(shutil.get_terminal_size((120, 24)).columns, 160))
    columns = list(dict.fromkeys((cell.target, cell.replicas) for cell in cells))
    column = max([len(_column(*one)) for one in columns] + [8]) + 1
    about = max(24, width - column * len(columns) - 1)
    by_check: dict[str, dict[tuple[str, int], Cell]] = {}
    for cell in cells:
        by_check.setdefault(cell.check, {})[cell.target, cell.replicas] = cell
    lines, group = [], ""
    for name, check in checks.items():
        if name not in by_check:
            continue
        if check.group != group:
            group = check.group
            lines += ["", f"{group:{about}} " + "".join(f"{_column(*one):{column}}" for one in columns)]
        row = by_check[name]
        signs = "".join(f"{SIGNS[row[one].verdict] if one in row else '':{column}}" for one in columns)
        lines.append(f"{name[:about]:{about}} {signs}".rstrip())
    return "\n".join(lines)


def _column(target: str, replicas: int) -> str:
    return f"{target}/{replicas}"


def summary(cells: Sequence[Cell], checks: Mapping[str, Check], targets: Iterable[Target]) -> str:
    """Return how many cells are what, what failed and why, and how long events took."""
    counts = {verdict: sum(cell.verdict == verdict for cell in cells) for verdict in SIGNS}
    lines = [
        f"{len(cells)} cells: {counts['pass']} pass, {counts['differs']} differ as documented"
        f" (docs/matrix.md), {counts['fail']} fail"
    ]
    for target in targets:
        if target.latencies_ms:
            took = ", ".join(f"{name} {ms:g} ms" for name, ms in sorted(target.latencies_ms.items()))
            lines.append(f"  {_column(target.name, target.replicas)} {target.version}: events took {took}")
    for cell in cells:
        if cell.verdict == "fail":
            lines += [
                f"FAIL {cell.check} {_column(cell.target, cell.replicas)}: {cell.outcome}",
                f"     {checks[cell.check].about}",
                f"     {cell.reason}",
            ]
    return "\n".join(lines)


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Write matrix.json."""
    path.write_text(f"{json.dumps(result, indent=1, ensure_ascii=False)}\n", encoding="utf-8")
