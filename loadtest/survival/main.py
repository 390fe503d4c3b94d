"""`./kit faults`: arguments, one server after the other, and the table."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata, util
from pathlib import Path

from loadtest.peers.running import stop
from loadtest.survival.client import request
from loadtest.survival.scenarios import FAULTS, WORKERS, Figures, Server
from stack import ports
from stack.process import start

__all__ = ["main", "markdown"]

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
APP = "loadtest.survival.app:app"
HANG_S = 2
START_S = 60.0


def commands(port: str) -> dict[str, list[str]]:
    """Return the servers and how each is started; what can look for hangs does so after HANG_S."""
    count = str(WORKERS)
    url = f"http://127.0.0.1:{port}"
    return {
        "pierhead": [
            "pierhead", "run", APP, "--listen", url, "--workers", count, "--access-log", "off",
            "--hang-timeout-s", str(HANG_S), "--head-timeout-s", str(HANG_S), "--control-socket", "",
        ],
        "uvicorn": ["uvicorn", APP, "--port", port, "--workers", count, "--no-access-log"],
        "gunicorn": [
            "gunicorn", APP, "--bind", f"127.0.0.1:{port}", "--workers", count, "--worker-class", "asgi",
            "--timeout", str(HANG_S), "--no-control-socket",
        ],
        "granian": [
            "granian", APP, "--interface", "asgi", "--port", port, "--workers", count,
            "--respawn-failed-workers", "--http1-header-read-timeout", str(HANG_S * 1000),
        ],
        "hypercorn": [
            "hypercorn", APP, "--bind", f"127.0.0.1:{port}", "--workers", count,
            "--read-timeout", str(HANG_S),
        ],
    }  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Run it; returns 0, 1 where a server cannot be started, or 2 for bad arguments."""
    parser = argparse.ArgumentParser(prog="./kit faults", description=__doc__)
    names = list(commands("0"))
    parser.add_argument(
        "--servers", default=",".join(names), metavar="LIST", help=f"of {','.join(names)}; all"
    )
    kinds = ",".join(fault.name for fault in FAULTS)
    parser.add_argument("--faults", default=kinds, metavar="LIST", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=10.0, help="to wait for a recovery (default 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument(
        "--docs", type=Path, metavar="FILE", nargs="?", const=ROOT / "docs" / "faults.md",
        help="put the table into this page (default docs/faults.md)",
    )  # fmt: skip
    try:
        options = parser.parse_args(argv)
        wanted = options.servers.split(",")
        if unknown := set(wanted) - set(names):
            parser.error(f"no server {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
        faults = [fault for fault in FAULTS if fault.name in options.faults.split(",")]
        if not faults:
            parser.error(f"no such faults; there are: {kinds}")
    except SystemExit as end:
        return int(end.code or 0)
    found: dict[str, dict[str, Figures]] = {}
    for name in wanted:
        if util.find_spec(name) is None:
            print(f"{name} is not installed in {sys.prefix}", file=sys.stderr)
            return 1
        label = f"{name} {version_of(name)}".rstrip()
        found[label] = {}
        for fault in faults:
            found[label][fault.name] = figures = measure(name, fault.run, options.seconds)
            print(f"{label:<20} {fault.what}: {as_text(figures)}", flush=True)
    table = markdown(found)
    print("\n" + table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.docs:
        include(options.docs, table)
    return 0


def version_of(name: str) -> str:
    """Return a server's version, "" where it runs from its source."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def measure(name: str, fault: Callable[[Server], Figures], patience_s: float) -> Figures:
    """Start a server, do the fault to it, and stop it. Raises RuntimeError where it does not start."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        version = Path(folder) / "version"
        version.write_text("1", encoding="utf-8")
        port = ports.any_free()
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'server'}", "FAULTS_VERSION": str(version)}
        command = [sys.executable, "-m", *commands(str(port))[name]]
        process = start(command, env=environment, log=Path(folder) / "log", cwd=Path(folder))
        server = Server(port, process, version, patience_s)
        try:
            deadline = time.monotonic() + START_S
            while len(server.workers()) < WORKERS:
                if not process.alive() or time.monotonic() > deadline:
                    log = (Path(folder) / "log").read_text(encoding="utf-8", errors="replace")
                    raise RuntimeError(f"{name} did not start {WORKERS} workers:\n{log[-2000:]}")
                time.sleep(0.1)
            figures = fault(server)
            over = "ended s" in figures
            if not over and not request(port).pid and not request(port).pid:
                figures["answers afterwards"] = None
            return figures
        finally:
            stop(process)


def as_text(figures: Figures) -> str:
    """Return figures in a line."""
    return ", ".join(f"{name} {shown(value)}" for name, value in figures.items())


def shown(value: float | None) -> str:
    """Return a figure as text."""
    if value is None:
        return "never"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"


def markdown(found: dict[str, dict[str, Figures]]) -> str:
    """Return the table."""
    lines = ["| fault | " + " | ".join(found) + " |", "| --- |" + " --- |" * len(found)]
    for fault in FAULTS:
        if not any(fault.name in figures for figures in found.values()):
            continue
        cells = [as_text(figures.get(fault.name, {})) for figures in found.values()]
        lines.append(f"| {fault.what} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def include(page: Path, table: str) -> None:
    """Put the table between the marks of a page. Raises ValueError where it has none."""
    text = page.read_text(encoding="utf-8")
    before, mark, rest = text.partition(BEGIN + "\n")
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{page} has no lines {BEGIN} and {END}")
    page.write_text(before + mark + table + end + after, encoding="utf-8")
