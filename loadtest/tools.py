"""The load generators: one run of wrk or locust against one URL, bounded in time, as a Sample."""

from __future__ import annotations

import importlib.util
import json
import re
import resource
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from loadtest.histogram import measured, percentile
from loadtest.spawner import Spawner, SpawnerError

__all__ = ["Sample", "missing", "run_locust", "run_wrk", "version"]

ROOT = Path(__file__).resolve().parent.parent
WRK_SCRIPT = ROOT / "loadtest" / "wrk" / "report.lua"
LAB = ROOT / "loadtest" / "locust_lab.py"
START_S = 15  # what locust may take until its users have started; if it takes longer, the run is cut short
MAX_NOTES = 3  # different reasons that are repeated
GRACE_S = 30  # what a tool may take longer than it was told, to start and to finish


@dataclass(frozen=True)
class Sample:
    """What one run measured. With `errors` (class -> count) the numbers mean nothing and are not shown."""

    requests_per_s: float = 0.0
    requests: int = 0
    histogram: Sequence[Sequence[int]] = ()  # [[microseconds, count], ...] in rising order
    errors: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    seconds: float = 0.0
    bytes: int = 0  # received, heads included
    client_cpu: float = 0.0  # the tool's processor time over the time it measured: 1.0 is a whole core
    counts: Mapping[str, int] = field(default_factory=dict)  # requests by kind, where there are several
    tasks: int = 0  # that were due at a given rate, and done
    series: Sequence[Sequence[int]] = ()  # [[second, requests, failures, p50 in us, p99 in us], ...]
    began: float = 0.0  # Unix time of the first second of `series`
    hdr: str = ""  # the histogram again, as HdrHistogram writes it
    command: str = ""  # the tool's command line

    @property
    def valid(self) -> bool:
        """Whether there were answers, and all of them right."""
        return self.requests > 0 and not self.errors

    @property
    def p50_ms(self) -> float:
        """The median latency in milliseconds."""
        return percentile(self.histogram, 50) / 1e3

    @property
    def p99_ms(self) -> float:
        """The latency in milliseconds that 99 of 100 requests do not exceed."""
        return percentile(self.histogram, 99) / 1e3


def missing(tool: str) -> str | None:
    """Return why `tool` cannot run here, with the fix, or None if it can."""
    if tool == "wrk":
        return None if shutil.which("wrk") else "wrk is not installed (Debian, Ubuntu, brew: package wrk)"
    if importlib.util.find_spec("locust"):
        return None
    return "locust is not installed (pip install --require-hashes -r locks/load.txt)"


def version(tool: str) -> str:
    """Return what `tool` says about its version, "" if it is missing."""
    if missing(tool):
        return ""
    if tool == "locust":
        return metadata.version("locust")
    try:
        result = subprocess.run(["wrk", "-v"], capture_output=True, text=True, timeout=GRACE_S, check=False)
    except subprocess.TimeoutExpired:
        return "unknown"
    said = (result.stdout or result.stderr).partition("\n")[0]
    # Without where it is installed, and whose it is.
    return re.split(r" from | \[", said, maxsplit=1)[0].removeprefix(tool).strip()


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
        return Sample(errors={"tool": 1}, note="wrk printed no results", command=shlex.join(command))
    histogram = result["histogram"]
    if result["requests"] < sum(count for _, count in histogram):
        histogram = measured(histogram, result["duration_us"] // (result["requests"] // connections))
    return Sample(
        requests_per_s=result["requests"] / (result["duration_us"] / 1e6),
        requests=result["requests"],
        histogram=histogram,
        seconds=result["duration_us"] / 1e6,
        errors={name: count for name, count in result["errors"].items() if count},
        bytes=result["bytes"],
        client_cpu=used_s / (result["duration_us"] / 1e6),
        command=shlex.join(command),
    )


def children_cpu_s() -> float:
    """Return the processor time of all programs that were run here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_locust(
    files: Sequence[Path],
    host: str,
    *,
    duration_s: int,
    users: int,
    rate: float | None = None,
    prefixed: bool = False,
    counted: Sequence[str] = (),
    arrive_s: int = 0,
    spawner: Spawner | None = None,
    cores: Sequence[int] = (),
) -> Sample:
    """Run locust files without their page: `users` simulated clients, all started at once.

    With `arrive_s` they arrive one after the other within so many seconds, which count already; `series` of
    the sample has then also the number of users in each second.

    With `rate` they begin so many tasks a second together, whose times count from when each was due;
    without, each waits for its answer. Only requests of the kinds `counted` count, if there are any. If
    `prefixed`, each file's users get `host`/FOLDER, with its folder's name. A `spawner` has locust loaded
    already.
    """
    if spawner is None:
        with Spawner() as own:
            return run_locust(
                files, host, duration_s=duration_s, users=users, rate=rate, prefixed=prefixed,
                counted=counted, arrive_s=arrive_s, spawner=own, cores=cores,
            )  # fmt: skip
    options = {
        "-f": ",".join(map(str, (*files, LAB))), "--host": host, "--users": users,
        "--spawn-rate": users / arrive_s if arrive_s else users,
        "--run-time": f"{duration_s + START_S}s", "--stop-timeout": "5s",
        "--loglevel": "ERROR", "--exit-code-on-error": 0,
    }  # fmt: skip
    words = ["--headless", "--only-summary", *(str(word) for option in options.items() for word in option)]
    settings = {"LAB_SECONDS": str(duration_s), "LAB_RATE": f"{rate or ''}"}
    settings |= {"LAB_PREFIXED": "1" if prefixed else "", "LAB_RAMP": "1" if arrive_s else ""}
    settings["LAB_COUNTED"] = ",".join(counted)
    shown = {**settings, "LAB_RESULTS": "results.json"}
    command = shlex.join([*(f"{name}={value}" for name, value in shown.items()), "locust", *words])
    try:
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / "results.json"
            settings["LAB_RESULTS"] = str(results)
            code, output = spawner.run(words, settings, timeout_s=duration_s + START_S + GRACE_S, cores=cores)
            if code:
                return Sample(errors={"tool": 1}, note=last_line(output, code), command=command)
            result = json.loads(results.read_text(encoding="utf-8"))
    except (OSError, ValueError, SpawnerError) as error:
        return Sample(errors={"tool": 1}, note=f"locust gave no results: {error}", command=command)
    return summarise(result, command)


def execute(command: Sequence[str], duration_s: int) -> tuple[str, Sample | None]:
    """Run a tool; return what it printed, and a Sample that says so if it failed or hung."""
    line = shlex.join(command)
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=duration_s + GRACE_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        note = f"{command[0]} was still running {GRACE_S} s after its end"
        return "", Sample(errors={"tool": 1}, note=note, command=line)
    if result.returncode:
        note = last_line(result.stderr.strip() or result.stdout, result.returncode)
        return "", Sample(errors={"tool": 1}, note=note, command=line)
    return result.stdout, None


def last_line(output: str, code: int) -> str:
    """Return the last thing that a tool said before it failed."""
    said = output.strip().splitlines()
    return said[-1] if said else f"exit code {code}"


def last_json(output: str) -> Any:
    """Return the last line of `output` as JSON, None if it is none."""
    try:
        return json.loads(output.rstrip().rpartition("\n")[2])
    except ValueError:
        return None


def summarise(result: Mapping[str, Any], command: str = "") -> Sample:
    """Return what locust_lab.py wrote as a Sample."""
    errors = {name: sum(said.values()) for name, said in result["errors"].items()}
    notes = sorted({text for said in result["errors"].values() for text in said})
    notes = [*notes[:MAX_NOTES], *([f"and {len(notes) - MAX_NOTES} more"] if len(notes) > MAX_NOTES else [])]
    if not result["requests"] or not result["seconds"]:
        return Sample(
            errors={"none": 1, **errors}, note="; ".join(notes) or "no request was made", command=command
        )
    return Sample(
        requests_per_s=result["requests"] / result["seconds"],
        requests=result["requests"],
        histogram=result["histogram"],
        errors=errors,
        note="; ".join(notes),
        seconds=result["seconds"],
        client_cpu=result["cpu_s"] / result["seconds"],
        counts=result["counts"],
        tasks=result["tasks"],
        series=result["series"],
        began=result["began"],
        hdr=result["hdr"],
        command=command,
    )
