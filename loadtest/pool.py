"""How many connections a worker should have: examples/database under load with pools of different sizes.

    python -m loadtest.pool                         # on the kit's database: ./kit up --detach --only db
    DATABASE_URL=postgresql://... python -m loadtest.pool --sizes 2,8,32

The sizes take turns within each round, and every figure is a ratio to the first size in the same round.
`sweep` is the same for other programs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from loadtest.stats import Interval, ratio
from loadtest.targets import Target, TargetError, fetch
from loadtest.tools import Sample, missing, run_wrk
from stack import ports
from stack.state import State
from stack.status import status

__all__ = ["main", "sweep"]

ROOT = Path(__file__).resolve().parent.parent
SIZES = (1, 2, 5, 10, 20)
START_TIMEOUT_S = 30.0


def sweep(
    database: Mapping[str, str], sizes: Sequence[int], *, rounds: int, duration_s: int, connections: int
) -> dict[int, list[Sample]]:
    """Return the samples of each size, one of each round; `database` are the settings that name it.

    Raises TargetError where the application does not answer rightly.
    """
    samples: dict[int, list[Sample]] = {size: [] for size in sizes}
    for turn in range(rounds):
        for size in [*sizes[turn % len(sizes) :], *sizes[: turn % len(sizes)]]:  # each round begins elsewhere
            with application(database, size) as target, product(target) as path:
                sample = run_wrk(target.url + path, duration_s=duration_s, connections=connections)
            samples[size].append(sample)
            print(f"  round {turn + 1}, {size} connections: {said(sample)}", file=sys.stderr, flush=True)
    return samples


@contextlib.contextmanager
def application(database: Mapping[str, str], size: int) -> Iterator[Target]:
    """Run examples/database with one worker, which has a pool of `size`. Raises TargetError."""
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
            yield target
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


def said(sample: Sample) -> str:
    """Return one sample as a line."""
    if not sample.valid:
        return f"no number: {dict(sample.errors)} {sample.note}".rstrip()
    return f"{sample.requests_per_s:.0f} requests/s, p50 {sample.p50_ms:.1f} ms, p99 {sample.p99_ms:.1f} ms"


def table(samples: Mapping[int, Sequence[Sample]]) -> list[str]:
    """Return the result's lines: each size's rate and p99 as ratios to the first size's in the same round."""
    first = next(iter(samples.values()))
    lines = [f"{'connections':>11}  {'requests/s':<24}  {'p99':<24}  (ratios to {next(iter(samples))}, 95 %)"]
    for size, found in samples.items():
        if not all(sample.valid for sample in (*first, *found)):
            lines.append(f"{size:>11}  no number: a run had errors")
            continue
        rate = ratio([one.requests_per_s for one in found], [one.requests_per_s for one in first])
        p99 = ratio([one.p99_ms for one in found], [one.p99_ms for one in first])
        lines.append(f"{size:>11}  {shown(rate):<24}  {shown(p99):<24}".rstrip())
    return lines


def shown(value: Interval) -> str:
    """Return a ratio with its interval, if it has one."""
    ends = f" ({value.low:.2f} to {value.high:.2f})" if value.known else ""
    return f"{value.value:.2f}{ends}"


def main(argv: Sequence[str]) -> int:
    """Measure and print the table; returns 0, or 1 if something is missing or a run had errors."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.pool", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--sizes", type=numbers, default=SIZES, metavar="N,N", help="of the pool (1,2,5,10,20)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of all sizes (default 3)")
    parser.add_argument("--duration", type=int, default=3, help="seconds of each run (default 3)")
    parser.add_argument("--connections", type=int, default=64, help="wrk's (default 64)")
    options = parser.parse_args(argv)
    try:
        if reason := missing("wrk"):
            raise TargetError(reason)
        samples = sweep(
            database_settings(), options.sizes,
            rounds=options.rounds, duration_s=options.duration, connections=options.connections,
        )  # fmt: skip
    except TargetError as error:
        print(f"pool: {error}", file=sys.stderr)
        return 1
    print("\n".join(table(samples)))
    return 0 if all(sample.valid for found in samples.values() for sample in found) else 1


def database_settings() -> dict[str, str]:
    """Return the settings for the database that DATABASE_URL names, or the kit's. Raises TargetError."""
    if url := os.environ.get("DATABASE_URL"):
        return {"DATABASE_URL": url}
    run = State().load()
    facts = status(run).get("db") if run else None
    if facts is None:
        raise TargetError("no database: start one with ./kit up --detach --only db, or set DATABASE_URL")
    return {"DATABASE_URL": str(facts["url"]), "DATABASE_PASSWORD_FILE": str(facts["password_file"])}


def numbers(text: str) -> tuple[int, ...]:
    """Split a list of pool sizes (an argparse type)."""
    sizes = tuple(int(word) for word in text.split(","))
    if not all(1 <= size <= 90 for size in sizes):
        raise ValueError
    return sizes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
