"""`./kit report FILE.json`: make the page, report.md and the plots of a run again; nothing is measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtest import results
from loadtest.report import sample
from loadtest.report.compact import compact
from loadtest.report.files import show
from loadtest.results import ResultError

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Make a report again; returns 0, 1 (a file is no report, or what was run is not valid) or 2."""
    parser = argparse.ArgumentParser(
        prog="./kit report", description="Make the report of a report.json again. Nothing is measured."
    )
    parser.add_argument("file", type=Path, metavar="FILE.json", help="of ./kit bench")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for the files (default: where FILE.json is)"
    )
    parser.add_argument(
        "--compact", action="store_true",
        help="write histograms with two significant digits: a report.json to be published",
    )  # fmt: skip
    parser.add_argument(
        "--sample", action="store_true",
        help="the same as --compact --output docs/sample-report, and show its plot in README.md",
    )  # fmt: skip
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    if options.compact and options.output is None:
        print("report: --compact needs --output, so that the exact histograms are not lost", file=sys.stderr)
        return 2
    try:
        document = results.read(options.file)
    except ResultError as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    if options.sample:
        try:
            sample.show_in_readme(document)
        except (ValueError, OSError) as error:
            print(f"report: {options.file} cannot be the sample: {error}", file=sys.stderr)
            return 1
        return show(compact(document), sample.FOLDER)
    return show(compact(document) if options.compact else document, options.output or options.file.parent)
