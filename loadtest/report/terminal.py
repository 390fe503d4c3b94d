"""The results of a run as text for a terminal, from the document alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.report import tables, verdicts
from loadtest.report.tables import Table

__all__ = ["aligned", "as_text"]


def as_text(document: Mapping[str, Any]) -> str:
    """Return the results for a terminal."""
    well, said = verdicts.status(document)
    text = [] if well else [said]
    text += [f"  {one}" for one in verdicts.problems(document)]
    text += ["", *aligned(tables.verdict(document))]
    if document.get("pool"):
        text += ["", *aligned(tables.pool(document)), verdicts.pool(document)]
    for table in (tables.ramps(document), tables.faults(document)):
        text += ["", *aligned(table)] if table.rows else []
    text += ["", *verdicts.verdicts(document), "", verdicts.interval_note(document)]
    text += [
        "Load, proxies, app and database share this machine: compare the rows, not the numbers with others'."
    ]
    return "\n".join(text).strip("\n")


def aligned(table: Table) -> list[str]:
    """Return the lines of a table."""
    lines = (table.heads, *table.rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.heads))]
    text = []
    for line in (table.heads, ["-" * width for width in widths], *table.rows):
        cells = [
            cell.ljust(width) if column < table.names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    return text
