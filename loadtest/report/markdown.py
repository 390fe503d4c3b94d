"""report.md, from the document alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.report import verdicts
from loadtest.report.sections import Section, sections
from loadtest.report.tables import Table

__all__ = ["as_markdown"]


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return report.md, which shows the files in plots/."""
    well, said = verdicts.status(document)
    text = ["# Load test", "", said if well else f"**{plain(said)}**", ""]
    if wrong := verdicts.problems(document):
        text += [*(f"- {plain(one)}" for one in wrong), ""]
    for section in sections(document):
        text += part(section)
    text += ["## How it was made", "", "The line that repeats it:", "", f"    {document['command']}", ""]
    text += ["| | |", "| --- | --- |"]
    text += [f"| {plain(name)} | {plain(value)} |" for name, value in verdicts.provenance(document)]
    return "\n".join([*text, ""])


def part(section: Section) -> list[str]:
    """Return the lines of one part."""
    text = [f"## {plain(section.title)}", ""]
    if len(section.said) > 2:
        text += [*(f"- {plain(line)}" for line in section.said), ""]
    else:
        text += [line for one in section.said for line in (plain(one), "")]
    for table in section.tables:
        text += [f"{plain(table.caption)}:", "", *piped(table), ""]
    text += [line for one in section.notes for line in (plain(one), "")]
    for plot in section.plots:
        text += [f"![{plain(plot.title)}. {plain(plot.about)}](plots/{plot.name}.png)", ""]
    return text


def piped(table: Table) -> list[str]:
    """Return the lines of a table."""
    last = len(table.heads) - 1
    words = [column < table.names or (table.worded and column == last) for column in range(last + 1)]
    rule = [" --- " if is_word else " ---: " for is_word in words]
    return [
        f"| {' | '.join(table.heads)} |",
        f"|{'|'.join(rule)}|",
        *(f"| {' | '.join(plain(cell) for cell in row)} |" for row in table.rows),
    ]


def plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    for mark in ("\\", "|", "<", "*", "[", "]", "#"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.splitlines())
