"""How many database connections an application should have: examples/database with pools of different sizes.

The sizes take turns within each round, and the load is wrk's, on one row. `sweep` is the same for other
programs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtest import machine
from loadtest.histogram import percentiles
from loadtest.placement import NOWHERE, Placement
from loadtest.results import problems_of
from loadtest.roles import Watch
from loadtest.targets import Target, TargetError, fetch
from loadtest.tools import Sample, run_wrk
from stack import ports

__all__ = ["numbers", "sweep"]

ROOT = Path(__file__).resolve().parent.parent
MOST = 90  # connections: PostgreSQL has 100, some of which are for others
START_TIMEOUT_S = 30.0


def sweep(
    database: Mapping[str, str],
    sizes: Sequence[int],
    found: list[dict[str, Any]],
    *,
    rounds: int,
    duration_s: int,
    connections: int,
    placement: Placement = NOWHERE,
    tell: Callable[[str], None] = print,
) -> None:
    """Append to `found` what the application does with each size in each round.

    `database` are the settings that name the database; `tell` gets a line about each run. Where the
    application does not start, or answers wrongly, the run is not valid.
    """
    for turn in range(rounds):
        for size in [*sizes[turn % len(sizes) :], *sizes[: turn % len(sizes)]]:  # each round begins elsewhere
            cpu: Mapping[str, float] = {}
            try:
                sample, cpu = load(database, size, duration_s, connections, placement)
                problems = problems_of(sample, None)
            except TargetError as error:
                sample, problems = Sample(), [str(error)]
            found.append(
                {
                    "size": size,
                    "round": turn + 1,
                    "connections": connections,
                    "requests_per_s": sample.requests_per_s,
                    "latency_us": percentiles(sample.histogram),
                    "cpu_s": dict(cpu),
                    "errors": dict(sample.errors),
                    "valid": not problems,
                    "problems": problems,
                }
            )
            said = f"NOT VALID: {problems[0]}" if problems else f"{sample.requests_per_s:,.0f} requests/s"
            tell(f"pool, round {turn + 1}, {size} connections: {said}")


def load(
    database: Mapping[str, str], size: int, duration_s: int, connections: int, placement: Placement
) -> tuple[Sample, dict[str, float]]:
    """Load the application with a pool of `size`; return what wrk measured, and processor time by role.

    Raises TargetError.
    """
    with (
        machine.pinned(placement.servers),
        application(database, size) as (target, pid),
        product(target) as path,
    ):
        watch = Watch({"app": [pid]})
        with machine.pinned(placement.load):
            sample = run_wrk(target.url + path, duration_s=duration_s, connections=connections)
        cpu, _ = watch.stop()
    return sample, {"load": sample.client_cpu * sample.seconds, **cpu}


@contextlib.contextmanager
def application(database: Mapping[str, str], size: int) -> Iterator[tuple[Target, int]]:
    """Run examples/database with one worker, which has a pool of `size`; yields it, and its process.

    Raises TargetError.
    """
    url = f"http://127.0.0.1:{ports.any_free()}"
    command = [sys.executable, "-P", "-m", "pierhead", "run", "app:app", "--workers", "1", "--listen", url]
    command += ["--app-dir", str(ROOT / "examples" / "database"), "--access-log", "off"]
    environment = os.environ | database | {"DATABASE_POOL_SIZE": str(size)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            target = Target(f"{size} connections", url)
            deadline = time.monotonic() + START_TIMEOUT_S
            while not answers(target):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    output = log.read().decode(errors="replace").strip()
                    raise TargetError(f"examples/database did not start:\n{output}")
                time.sleep(0.05)
            yield target, process.pid
        finally:
            process.terminate()
            process.wait()


def answers(target: Target) -> bool:
    """Tell whether the application answers, its database included."""
    try:
        return fetch(target, "GET", "/products?limit=1")[0] == 200
    except TargetError:
        return False


@contextlib.contextmanager
def product(target: Target) -> Iterator[str]:
    """Create a product, and delete it in the end; yields its path. Raises TargetError."""
    wanted = {"sku": f"POOL-{uuid.uuid4().hex}".upper(), "name": "Pool", "price_cents": 1}
    code, created = fetch(target, "POST", "/products", wanted)
    if code != 201 or not isinstance(created, dict):
        raise TargetError(f"{target.name} ({target.url}): POST /products gave {code} {created}, not 201")
    path = f"/products/{created['id']}"
    try:
        yield path
    finally:
        fetch(target, "DELETE", path)


def numbers(text: str) -> tuple[int, ...]:
    """Split a list of pool sizes (an argparse type). Raises ValueError."""
    sizes = tuple(int(word) for word in text.split(","))
    if not all(1 <= size <= MOST for size in sizes):
        raise ValueError
    return sizes
