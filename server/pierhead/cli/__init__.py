"""The command `pierhead`: finds the command's module, runs it, and turns errors into messages and exit codes.

Exit codes: 0 done. 1 failed. 2 wrong usage or configuration. 3 the application did not load or start. 4 no
listener (`run`), or a 4xx response (`request`). 5 a 5xx response (`request`). 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from pierhead.errors import ConfigError, LoadError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "run": "serve an application",
    "check": "show the effective configuration and the routes",
    "request": "send one request to an application, without a server",
    "reload": "have a running server take up new code",
    "status": "show the workers of a running server",
    "top": "show them again and again",
    "health": "ask a running server whether it is well",
}
"""Command → what it does; each is the module of that name, imported only when it is used."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `argv` (by default the process's own arguments); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except ConfigError as error:
        return _complain(error, 2)
    except LoadError as error:
        return _complain(error, 3)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who reads the output went away, as `head` does; Python would complain when it flushes at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as leaving:  # argparse: help was shown, or the usage was wrong
        return leaving.code if isinstance(leaving.code, int) else 0
    return code


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(_overview(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    name, *rest = arguments
    if name in {"-V", "--version"}:
        print(f"pierhead {_version()}")
        return 0
    if name not in COMMANDS:
        import difflib

        close = difflib.get_close_matches(name, COMMANDS, 1)
        fix = f"did you mean {close[0]}?" if close else f"there are: {', '.join(COMMANDS)}"
        raise ConfigError(f"there is no command {name!r}; {fix}")
    code: int = importlib.import_module(f"pierhead.cli.{name}").main(rest)
    return code


def _overview() -> str:
    lines = [f"  pierhead {name:<8} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: pierhead COMMAND ...",
            "",
            *lines,
            "",
            "pierhead COMMAND --help shows what a command takes; pierhead --version shows the version.",
        ]
    )


def _version() -> str:
    import importlib.metadata  # which takes longer than all of `pierhead health`, so only where it is needed

    try:
        return importlib.metadata.version("pierhead")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed, run from its source)"


def _complain(error: Exception, code: int) -> int:
    sys.stdout.flush()
    print(f"pierhead: {error}", file=sys.stderr)
    return code
