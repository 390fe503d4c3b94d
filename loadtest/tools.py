"""The load generators: one run of wrk or locust against one URL, bounded in time, as a Sample."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Sample", "missing", "run_locust", "run_wrk", "version"]

ROOT = Path(__file__).resolve().parent.parent
WRK_SCRIPT = ROOT / "loadtest" / "wrk" / "report.lua"
DURATION = ROOT / "loadtest" / "locust_duration.py"
START_S = 15  # what locust may take until its users have started; if it takes longer, the run is cut short
GRACE_S = 30  # what a tool may take longer than it was told, to start and to finish


@dataclass(frozen=True)
class Sample:
    """What one run measured. With `errors` (class -> count) the numbers mean nothing and are not shown."""

    requests_per_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    requests: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    bytes: int = 0  # received, heads included
    client_cpu: float = 0.0  # the tool's processor time over the time it measured: 1.0 is a whole core

    @property
    def valid(self) -> bool:
        """Whether there were answers, and all of them right."""
        return self.requests > 0 and not self.errors


def missing(tool: str) -> str | None:
    """Return why `tool` cannot run here, with the fix, or None if it can."""
    if tool == "wrk":
        return None if shutil.which("wrk") else "wrk is not installed (Debian, Ubuntu, brew: package wrk)"
    if importlib.util.find_spec("locust"):
        return None
    return "locust is not installed (pip install --require-hashes -r locks/load.txt)"


def version(tool: str) -> str:
    """Return the first line that `tool` says about its version, "" if it is missing."""
    if missing(tool):
        return ""
    command = ["wrk", "-v"] if tool == "wrk" else [sys.executable, "-m", "locust", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=GRACE_S, check=False)
    return (result.stdout or result.stderr).partition("\n")[0].strip()


def run_wrk(
    url: str, *, duration_s: int, connections: int, script: Path = WRK_SCRIPT, words: Sequence[str] = ()
) -> Sample:
    """Load one URL from one thread with `connections` connections, as fast as answers come.

    `script` may vary the requests, and prints what wrk/report.lua does; `words` are for it.
    """
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{duration_s}s",
        "--timeout",
        "2s",
        "-s",
        str(script),
        url,
        *(("--", *words) if words else ()),
    ]
    before = children_cpu_s()
    output, failure = execute(command, duration_s)
    if failure:
        return failure
    used_s = children_cpu_s() - before
    result = last_json(output)
    if not isinstance(result, dict):
        return Sample(errors={"tool": 1}, note="wrk printed no results")
    return Sample(
        requests_per_s=result["requests"] / (result["duration_us"] / 1e6),
        p50_ms=result["latency_us"]["p50"] / 1e3,
        p99_ms=result["latency_us"]["p99"] / 1e3,
        requests=result["requests"],
        errors={name: count for name, count in result["errors"].items() if count},
        bytes=result["bytes"],
        client_cpu=used_s / (result["duration_us"] / 1e6),
    )


def children_cpu_s() -> float:
    """Return the processor time of all programs that were run here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_locust(file: Path, host: str, *, duration_s: int, users: int) -> Sample:
    """Run a locust file without its page: `users` simulated clients, all started at once."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        options = {
            "-f": f"{file},{DURATION}", "--host": host, "--users": users, "--spawn-rate": users,
            "--run-time": f"{duration_s + START_S}s", "--stop-timeout": "5s",
            "--json-file": results, "--loglevel": "ERROR", "--exit-code-on-error": 0,
        }  # fmt: skip
        command = [sys.executable, "-m", "locust", "--headless", "--only-summary"]
        command += [str(word) for option in options.items() for word in option]
        _, failure = execute(command, duration_s, MEASURE_S=str(duration_s))
        if failure:
            return failure
        return summarise(json.loads(results.with_suffix(".json").read_text()))


def execute(command: list[str], duration_s: int, **env: str) -> tuple[str, Sample | None]:
    """Run a tool; return what it printed, and a Sample that says so if it failed or hung."""
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=duration_s + GRACE_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env=os.environ | env,
        )
    except subprocess.TimeoutExpired:
        return "", Sample(
            errors={"tool": 1}, note=f"{command[0]} was still running {GRACE_S} s after its end"
        )
    if result.returncode:
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()
        return "", Sample(errors={"tool": 1}, note=said[-1] if said else f"exit code {result.returncode}")
    return result.stdout, None


def last_json(output: str) -> Any:
    """Return the last line of `output` as JSON, None if it is none."""
    try:
        return json.loads(output.rstrip().rpartition("\n")[2])
    except ValueError:
        return None


def summarise(entries: list[dict[str, Any]]) -> Sample:
    """Return locust's statistics, one entry for each kind of request, as one Sample.

    locust rounds response times (to 1 ms below 100 ms, then to two digits) before it counts them.
    """
    requests = sum(entry["num_requests"] for entry in entries)
    if not requests:
        return Sample(errors={"none": 1}, note="no request was made")
    times: dict[float, int] = {}
    for entry in entries:
        for time_ms, count in entry["response_times"].items():
            times[float(time_ms)] = times.get(float(time_ms), 0) + count
    lasted_s = max(entry["last_request_timestamp"] for entry in entries) - min(
        entry["start_time"] for entry in entries
    )
    return Sample(
        requests_per_s=requests / lasted_s if lasted_s > 0 else 0.0,
        p50_ms=percentile(times, 0.50),
        p99_ms=percentile(times, 0.99),
        requests=requests,
        errors={entry["name"]: entry["num_failures"] for entry in entries if entry["num_failures"]},
    )


def percentile(counts: Mapping[float, int], share: float) -> float:
    """Return the smallest value that `share` of all counted values do not exceed."""
    wanted = share * sum(counts.values())
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return 0.0
