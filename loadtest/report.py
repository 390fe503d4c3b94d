"""What a benchmark run says: one table for people, one JSON file for programs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from loadtest.targets import DIRECT
from loadtest.tools import Sample

__all__ = ["Row", "as_json", "table", "write"]

HEADER = ("scenario", "target", "tool", "requests/s (min-max)", "p50 ms", "p99 ms", "errors", "vs direct")


@dataclass
class Row:
    """All rounds of one scenario against one target."""

    scenario: str
    target: str
    tool: str
    samples: list[Sample] = field(default_factory=list)

    @property
    def errors(self) -> dict[str, int]:
        """Errors of all rounds by class."""
        total: dict[str, int] = {}
        for sample in self.samples:
            for name, count in sample.errors.items():
                total[name] = total.get(name, 0) + count
        return total

    @property
    def valid(self) -> bool:
        """Whether every round was free of errors: otherwise there is no number to show."""
        return bool(self.samples) and all(sample.valid for sample in self.samples)

    def median(self, measure: str) -> float:
        """Return the median over the rounds of `requests_per_s`, `p50_ms` or `p99_ms`."""
        return statistics.median(float(getattr(sample, measure)) for sample in self.samples)

    def rates(self) -> tuple[float, float, float]:
        """Return median, lowest and highest requests per second."""
        rates = [sample.requests_per_s for sample in self.samples]
        return statistics.median(rates), min(rates), max(rates)


def ratio(row: Row, rows: Iterable[Row]) -> float | None:
    """Return the rate of `row` over that of the same scenario without a proxy, None if there is none."""
    for other in rows:
        if other.scenario == row.scenario and other.target == DIRECT and other.valid and row.valid:
            return row.median("requests_per_s") / other.median("requests_per_s")
    return None


def milliseconds(time_ms: float) -> str:
    """Return a latency as text; locust rounds to 1 ms, and 0 would be a lie."""
    return f"{time_ms:.2f}" if time_ms else "<1"


def table(rows: Sequence[Row]) -> str:
    """Return the results as text; a row with errors has no numbers, and says which errors below the table."""
    lines: list[Sequence[str]] = [HEADER]
    remarks = []
    for row in rows:
        start = (row.scenario, row.target, row.tool)
        if not row.valid:
            count = sum(row.errors.values())
            lines.append((*start, "not valid" if row.samples else "not run", "-", "-", str(count), "-"))
            said = "; ".join(sorted({sample.note for sample in row.samples if sample.note}))
            classes = ", ".join(f"{name} {number}" for name, number in row.errors.items())
            if row.samples:
                remarks.append(f"{row.scenario} {row.target}: {classes}" + (f": {said}" if said else ""))
            continue
        median, least, most = row.rates()
        versus = ratio(row, rows)
        lines.append(
            (
                *start,
                f"{median:,.0f} ({least:,.0f}-{most:,.0f})",
                milliseconds(row.median("p50_ms")),
                milliseconds(row.median("p99_ms")),
                "0",
                "-" if versus is None else f"{versus:.2f}",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if i < 3 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    text.insert(1, "  ".join("-" * width for width in widths))
    if remarks:
        text += ["", "Not valid, because of errors:", *(f"  {remark}" for remark in remarks)]
    return "\n".join(text)


def as_json(rows: Sequence[Row], about: dict[str, Any]) -> dict[str, Any]:
    """Return the results and `about` (how they were made) as one JSON-serialisable object."""
    results = []
    for row in rows:
        result: dict[str, Any] = {
            "scenario": row.scenario,
            "target": row.target,
            "tool": row.tool,
            "valid": row.valid,
            "errors": row.errors,
            "rounds": [vars(sample) for sample in row.samples],
        }
        if row.valid:
            median, least, most = row.rates()
            result["requests_per_s"] = {"median": median, "min": least, "max": most}
            result["p50_ms"] = row.median("p50_ms")
            result["p99_ms"] = row.median("p99_ms")
            result["ratio_to_direct"] = ratio(row, rows)
        results.append(result)
    return {**about, "results": results}


def write(folder: Path, document: dict[str, Any], started: datetime) -> Path:
    """Write `document` to a new file `bench-<time>.json` in `folder`; return its path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"bench-{started:%Y%m%dT%H%M%SZ}.json"
    partial = path.with_suffix(".part")  # a full disk leaves no half report under the final name
    try:
        partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return path
