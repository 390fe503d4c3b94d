"""`./kit matrix`: its options, which can be shown before anything that it needs is installed."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from stack.state import State

__all__ = ["BY_GATEWAY", "TARGETS", "matrix", "parser"]

TARGETS = ("direct", "caddy", "nginx", "apache")
BY_GATEWAY = ("nginx-fastcgi", "nginx-scgi", "apache-fastcgi", "apache-scgi", "caddy-fastcgi")
"""The proxies that reach the application by FastCGI and SCGI: with one replica, for some of the checks."""


def matrix(state: State, argv: Sequence[str]) -> int:
    """Run the command; returns its exit code. Raises KitError."""
    options = parser().parse_args(argv)
    return int(importlib.import_module("stack.matrix.command").main(state, options))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    result = argparse.ArgumentParser(
        prog="./kit matrix",
        description="Find out by real requests what an application sees behind each proxy (docs/matrix.md).",
    )
    result.add_argument(
        "--proxy",
        action="append",
        choices=(*TARGETS, *BY_GATEWAY),
        default=[],
        help="this one; repeatable (default: all)",
    )
    result.add_argument(
        "--check",
        action="append",
        default=[],
        metavar="WORD",
        help="checks with WORD in their names; repeatable",
    )
    result.add_argument(
        "--replicas",
        action="append",
        type=int,
        choices=(1, 2),
        default=[],
        help="of the application (default: 1, then 2)",
    )
    result.add_argument("--list", action="store_true", help="show the checks, and run none")
    result.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="where to write every outcome (default: .kit/matrix.json)",
    )
    result.add_argument("--docs", action="store_true", help="write docs/matrix.md anew")
    return result
