"""What happens while users arrive, one after the other: throughput and latency second by second.

Each user asks again as soon as it is answered (or waits as its locust file says), so that there is more load
with each of them; what a target cannot do shows as latency.
"""

from __future__ import annotations

from typing import Any

from loadtest.results import problems_of
from loadtest.scenario import Scenario
from loadtest.targets import Target
from loadtest.tools import Sample

__all__ = ["SECONDS", "ramp_of"]

SECONDS = 15  # in which all have arrived


def ramp_of(scenario: Scenario, target: Target, started: str, users: int, sample: Sample) -> dict[str, Any]:
    """Return a ramp as it stands in the document."""
    problems = problems_of(sample, None)
    return {
        "scenario": scenario.name,
        "target": target.name,
        "started": started,
        "users": users,
        "series": [list(entry) for entry in sample.series if entry[0] < SECONDS],
        "errors": dict(sample.errors),
        "valid": not problems,
        "problems": problems,
    }
