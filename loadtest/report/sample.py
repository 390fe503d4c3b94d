"""The sample report of the documentation: a run in docs/sample-report, and one of its plots in README.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from loadtest.marks import include
from loadtest.provenance import ROOT
from loadtest.report.numbers import valid_results

__all__ = ["FOLDER", "PICTURE", "README", "caption", "show_in_readme"]

FOLDER = ROOT / "docs" / "sample-report"
README = ROOT / "README.md"
SCENARIO, PICTURE = "read", "read-cpu"
SHORT = 5  # rounds: with fewer, intervals are wide


def caption(document: Mapping[str, Any]) -> str:
    """Return the plot and what it shows, for README.md. Raises ValueError if there is no such plot."""
    if not valid_results(document, SCENARIO):
        raise ValueError(f"it has no valid result of {SCENARIO}, whose plot README.md shows")
    machine, settings = document["machine"], document["settings"]
    made_by = f"{machine['processor']}, {machine['cpus']} CPUs"
    started = datetime.fromisoformat(document["started"])
    run = f"{settings['rounds']} rounds of {settings['duration_s']} s"
    if settings["rounds"] < SHORT:
        run = f"a short run, {run}"
    place = (FOLDER / "plots" / f"{PICTURE}.png").relative_to(ROOT).as_posix()
    title = document["scenarios"][SCENARIO]["title"]
    return (
        f"![Bars of the processor time of a request by role, for the app alone and each proxy]({place})\n\n"
        f"Processor time of a request ({title[:1].lower()}{title[1:]}), by who used it: the app alone, and\n"
        f"through each proxy. {made_by}, {started.day} {started:%B %Y}; {run}:\n"
        "[all of the report](docs/sample-report/report.md). Made by\n\n"
        f"    {document['command']}"
    )


def show_in_readme(document: Mapping[str, Any]) -> None:
    """Put the plot into README.md. Raises ValueError if there is no such plot or no place, and OSError."""
    include(README, "sample", caption(document))
