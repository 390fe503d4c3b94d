"""A parser of command lines that says what was probably meant. It loads no settings, which takes time."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

__all__ = ["Parser"]

# What other servers call parts of it.
_ADDRESSES = ("--port", "--host", "--bind", "-p", "-b")


class Parser(argparse.ArgumentParser):
    """A parser that takes options and arguments in any order, and knows the nearest option to a wrong one."""

    def __init__(self, command: str, description: str, epilog: str = "", usage: str | None = None) -> None:
        super().__init__(
            prog=f"pierhead {command}",
            usage=usage,
            description=description,
            epilog=epilog or None,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.options: list[str] = []

    def option(self, name: str, **about: Any) -> None:
        """Add an option, unset when it is not given."""
        self.options.append(name)
        self.add_argument(name, default=argparse.SUPPRESS, **about)

    def parse(self, argv: Sequence[str]) -> dict[str, Any]:
        """Return what is given; wrong usage is reported and raises SystemExit(2)."""
        found, unknown = self.parse_known_intermixed_args(argv)
        for item in unknown:
            name = item.partition("=")[0]
            if name.startswith("-"):
                self.error(f"there is no option {name}{self._meant(name)}")
        if unknown:
            self.error(f"one argument too many: {unknown[0]}")
        return vars(found)

    def _meant(self, name: str) -> str:
        """Return what is said of an option that does not exist: which one is probably meant."""
        import difflib

        if name in _ADDRESSES and "--listen" in self.options:
            return "; the address is one: --listen http://127.0.0.1:8000"
        close = difflib.get_close_matches(name, self.options, 1)
        return f"; did you mean {close[0]}?" if close else ""
