"""The files of a report in a folder: report.json, and report.md, report.html and plots/*.png made from it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtest import results
from loadtest.report import verdicts
from loadtest.report.terminal import as_text

__all__ = ["render", "show"]


def show(document: Mapping[str, Any], folder: Path) -> int:
    """Print the results and write the report's files.

    Returns the exit code: 0 if all is valid and passed, 1 if not, or if a file cannot be written.
    """
    print(f"\n{as_text(document)}\n", flush=True)
    try:
        written = [results.write(folder, document), *render(folder, document)]
    except OSError as error:
        print(f"report: cannot write it: {error}; choose a folder with --output", file=sys.stderr)
        return 1
    print("".join(f"Report: {path}\n" for path in written), end="")
    return 0 if verdicts.all_well(document) else 1


def render(folder: Path, document: Mapping[str, Any]) -> list[Path]:
    """Write report.md, report.html and plots/*.png; return where the first two are. Raises OSError."""
    if importlib.util.find_spec("matplotlib") is None:
        print(
            "report: matplotlib is not installed, so this is all; later: ./kit report "
            f"{folder / 'report.json'}",
            file=sys.stderr,
        )
        return []
    from loadtest.report.drawing import as_png  # these need matplotlib
    from loadtest.report.markdown import as_markdown
    from loadtest.report.page import as_html
    from loadtest.report.sections import all_plots

    markdown, page, pictures = folder / "report.md", folder / "report.html", folder / "plots"
    markdown.write_text(as_markdown(document), encoding="utf-8")
    page.write_text(as_html(document), encoding="utf-8")
    pictures.mkdir(exist_ok=True)
    made = set()
    for plot in all_plots(document):
        path = pictures / f"{plot.name}.png"
        path.write_bytes(as_png(plot))
        made.add(path)
    for old in set(pictures.glob("*.png")) - made:  # of another run, or of a version that drew others
        old.unlink()
    return [markdown, page]
