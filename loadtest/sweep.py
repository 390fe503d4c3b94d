"""What happens with more load: rates and latencies at several numbers of connections, or at several rates.

One short measurement for each point and target, interleaved; they show a shape, and no order is claimed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.histogram import percentiles
from loadtest.results import problems_of
from loadtest.scenario import Scenario
from loadtest.targets import Target
from loadtest.tools import Sample

__all__ = ["CONNECTIONS", "RATES", "SECONDS", "Point", "point_of", "points"]

CONNECTIONS = (1, 4, 16, 64, 256)
RATES = (50, 100, 200, 400)
SECONDS = 3

Point = tuple[Scenario, Target, str, int]


def points(scenarios: Sequence[Scenario], targets: Sequence[Target]) -> list[Point]:
    """Return what is to be measured: for wrk by `connections`, for locust by `rate`; targets take turns."""
    found: list[Point] = []
    for scenario in scenarios:
        by, values = ("connections", CONNECTIONS) if scenario.tool == "wrk" else ("rate", RATES)
        found += [(scenario, target, by, value) for value in values for target in targets]
    return found


def point_of(point: Point, sample: Sample, cpu_s: Mapping[str, float]) -> dict[str, Any]:
    """Return a point as it stands in the document.

    With more than a target can do, the offered rate is not reached: that is what a sweep is to show.
    """
    scenario, target, by, value = point
    problems = problems_of(sample, None)
    return {
        "scenario": scenario.name,
        "target": target.name,
        "by": by,
        "at": value,
        "requests_per_s": sample.requests_per_s,
        "latency_us": percentiles(sample.histogram),
        "cpu_s": dict(cpu_s),
        "errors": dict(sample.errors),
        "valid": not problems,
        "problems": problems,
    }
