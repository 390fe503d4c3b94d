"""`pierhead top`: shows the workers of a running server again and again."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

from pierhead.cli.options import add_config, add_settings, configuration
from pierhead.cli.parser import Parser
from pierhead.cli.status import fetch, render
from pierhead.errors import ConfigError

__all__ = ["main"]

_CLEAR = "\x1b[H\x1b[2J"
_LONGEST_S = 86400.0


def main(argv: Sequence[str]) -> int:
    """Show it until Ctrl-C, or `--count` times: 0, or 1 once no server answers. Raises ConfigError."""
    from pierhead.supervisor.control import ControlError

    parser = Parser("top", "Show the workers of a running server again and again, until Ctrl-C.")
    parser.add_argument("--interval", type=float, default=2.0, metavar="SECONDS", help="default 2")
    parser.add_argument("--count", type=int, default=0, metavar="NUMBER", help="how often; default: for ever")
    add_config(parser)
    add_settings(parser, ["control_socket"])
    given = parser.parse(argv)
    if not 0 < given["interval"] <= _LONGEST_S:  # nor what is no number
        raise ConfigError(f"--interval = {given['interval']:g}: use more than 0 and at most {_LONGEST_S:g}")
    if given["count"] < 0:
        raise ConfigError(f"--count = {given['count']}: use 0 (for ever) or more")
    socket = configuration(given).settings.control_socket
    before: dict[str, Any] | None = None
    shown = 0
    try:
        while True:
            status = fetch(socket)
            text = _rate(before, status, given["interval"]) + render(status)
            print(_screen(text) if _is_screen() else text, flush=True)
            before = status
            shown += 1
            if shown == given["count"]:
                return 0
            time.sleep(given["interval"])
    except ControlError as error:
        print(f"pierhead: {error}", file=sys.stderr)
        return 1


def _is_screen() -> bool:
    """Tell whether the output is a terminal that can be cleared."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _screen(text: str) -> str:
    """Return what clears the screen and shows as much of a text as fits, as nobody sees what scrolls away."""
    columns, lines = shutil.get_terminal_size()
    shown = [line[: max(1, columns)] for line in text.split("\n")[: max(1, lines - 1)]]
    return _CLEAR + "\n".join(shown)


def _rate(before: dict[str, Any] | None, now: dict[str, Any], seconds: float) -> str:
    """Return how many requests a second were answered, "" for the first time."""
    if before is None:
        return ""
    known = _requests(before)
    answered = sum(count - known.get(pid, 0) for pid, count in _requests(now).items())
    return f"{answered / seconds:.0f} requests/s  "


def _requests(status: dict[str, Any]) -> dict[int, int]:
    return {
        worker["pid"]: worker["requests"]
        for generation in status["generations"]
        for worker in generation["workers"]
    }
