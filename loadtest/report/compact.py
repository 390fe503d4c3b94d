"""A report.json that is small enough to be published: with coarser histograms, and else the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["coarser", "compact"]


def compact(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without HdrHistograms and with histograms of two significant digits.

    Percentiles, rates and all that follows from them are those of the exact histograms.
    """
    runs = [{**run, "hdr": None, "histogram": coarser(run["histogram"])} for run in document["runs"]]
    return {**document, "runs": runs}


def coarser(histogram: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return a histogram whose values are rounded up to two significant digits."""
    found: dict[int, int] = {}
    for value, count in histogram:
        unit = 10 ** max(len(str(value)) - 2, 0)
        rounded = math.ceil(value / unit) * unit
        found[rounded] = found.get(rounded, 0) + count
    return [[value, found[value]] for value in sorted(found)]
