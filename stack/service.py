"""What a service of the stack is, and whether it is well."""

from __future__ import annotations

import http.client
import os
import subprocess
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stack.process import Account
from stack.state import ROOT

__all__ = ["Service", "clean_environment", "output_of", "probe"]

PROBE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Service:
    """One process to run: how to start it, how to see that it is well, how to stop it."""

    name: str
    role: str
    url: str
    version: str
    argv: Sequence[str]
    probe: Sequence[str]  # as Record.probe
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    account: Account | None = None
    stop_signal: str = "SIGTERM"
    more: Mapping[str, str] = field(default_factory=dict)


def clean_environment() -> dict[str, str]:
    """Return our environment without what would point programs at another database."""
    unwanted = ("PG", "DATABASE_", "DBMATE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def probe(words: Sequence[str]) -> str:
    """Look whether a service is well: nothing if so, else what is wrong.

    `words` are ["GET", URL] (well: an answer with a status below 400) or a command (well: exit code 0).
    """
    if words[0] != "GET":
        try:
            result = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                env=clean_environment(),
                timeout=PROBE_TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return "" if result.returncode == 0 else (result.stdout + result.stderr).strip() or "not ready"
    parts = urllib.parse.urlsplit(words[1])
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from {words[1]}: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return "" if status < 400 else f"{words[1]} answers {status}"


def output_of(*words: str) -> str:
    """Return what a short command such as `nginx -v` prints; nothing if it fails."""
    try:
        result = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (result.stdout + result.stderr).strip()
