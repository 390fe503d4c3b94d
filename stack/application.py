"""The application as a service: examples/stack.py, run by the server of this repository, once per replica."""

from __future__ import annotations

import importlib.metadata
import sys

from stack.ports import HOST
from stack.service import Service, clean_environment
from stack.state import ROOT, State

__all__ = ["WORKERS", "application"]

WORKERS = 2  # for each replica: fewer would hide that state must not live in one worker's memory


def application(state: State, number: int, port: int, database_url: str) -> Service:
    """Return replica `number` (from 1) as a service."""
    url = f"http://{HOST}:{port}"
    # fmt: off
    argv = [
        sys.executable, "-P", "-m", "pierhead", "run", "stack:app", "--app-dir", str(ROOT / "examples"),
        "--workers", str(WORKERS), "--listen", url,
    ]
    # fmt: on
    settings = {
        "DATABASE_URL": database_url,
        "DATABASE_PASSWORD_FILE": str(state.secret("app")),
    }
    return Service(
        name=f"app-{number}",
        role="app",
        url=url,
        version=f"pierhead {importlib.metadata.version('pierhead')}",
        argv=argv,
        probe=["GET", f"{url}/readyz"],
        env=clean_environment() | settings,
    )
