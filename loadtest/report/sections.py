"""What stands in a report, in which order: the same on the page and in report.md, from the document alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.report import events, plots, tables, verdicts
from loadtest.report.drawing import Plot
from loadtest.report.tables import Table
from loadtest.targets import PROXIES

__all__ = ["Section", "all_plots", "sections"]

SHARED = (
    "Load generator, proxies, application and database shared the machine: compare the rows with each other, "
    "not the numbers with others'."
)


@dataclass(frozen=True)
class Section:
    """A part of a report: title, sentences, tables, plots, and notes in small print. `name` is its anchor."""

    name: str
    title: str
    said: Sequence[str] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    plots: Sequence[Plot] = ()


def sections(document: Mapping[str, Any]) -> list[Section]:
    """Return the parts that a document has something for; verdicts come first."""
    found = [
        Section(
            "verdicts",
            "Verdicts",
            verdicts.verdicts(document),
            [tables.verdict(document)],
            [f"{verdicts.interval_note(document)} {SHARED}"],
        )
    ]
    cost = tables.cost(document)
    if cost.rows:
        note = (
            "Brackets alone: no difference is shown, as the interval has both more and less in it. "
            "CPU time is without the load generator's."
        )
        proxies = all(row[1] in PROXIES for row in cost.rows)
        title = "What each proxy costs" if proxies else "What each target costs"
        found.append(Section("costs", title, tables=[cost], notes=[note]))
    if any(result["valid"] for result in document["results"]):
        found.append(
            Section(
                "limits", "What was busy", tables=[tables.cores(document), *some(tables.memory(document))]
            )
        )
    found += [scenario(document, name) for name in document["scenarios"]]
    if document.get("pool"):
        found.append(
            Section(
                "pool",
                "How many database connections?",
                [verdicts.pool(document)],
                [tables.pool(document)],
                ["One worker of examples/database; the sizes take turns within each round."],
                events.of_pool(document),
            )
        )
    if document.get("ramps"):
        drawn = events.of_ramps(document)
        found.append(Section("ramps", "While users arrive", tables=[tables.ramps(document)], plots=drawn))
    if document["faults"]:
        found.append(
            Section(
                "faults",
                "Faults under load",
                [verdicts.faults(document)],
                [tables.faults(document)],
                plots=events.of_faults(document),
            )
        )
    counted = tables.database(document)
    if counted.rows:
        note = (
            "From pg_stat_database and others, the whole database during the runs, divided by the requests."
        )
        found.append(Section("database", "What the database did", tables=[counted], notes=[note]))
    return found


def some(table: Table) -> list[Table]:
    """Return a table, if there is something in it."""
    return [table] if table.rows else []


def scenario(document: Mapping[str, Any], name: str) -> Section:
    """Return the part of one scenario."""
    about = document["scenarios"][name]
    settings = document["settings"]
    if about["rate"] is None:
        load = f"{settings['connections']} connections, each of which sends when the answer before has come"
    else:
        load = f"{about['rate']:g} tasks a second are offered, by {settings['users']} users"
    drawn = plots.of_scenario(document, name)
    said = [f"{about['title']}. {about['about']}".strip(), f"{about['tool']}: {load}."]
    notes = [] if drawn else ["There is no valid result to draw."]
    notes += [
        f"Not drawn: {point['target']} with {point['by']} {point['at']:,}: {'; '.join(point['problems'])}."
        for point in document["sweeps"]
        if point["scenario"] == name and not point["valid"]
    ]
    return Section(f"scenario-{name}", name, said, notes=notes, plots=drawn)


def all_plots(document: Mapping[str, Any]) -> list[Plot]:
    """Return the plots of all parts."""
    return [plot for section in sections(document) for plot in section.plots]
