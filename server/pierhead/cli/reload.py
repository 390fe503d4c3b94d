"""`pierhead reload`: has a running server take up new code, and waits until it serves."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pierhead.cli.options import add_config, add_settings, configuration
from pierhead.cli.parser import Parser
from pierhead.errors import ConfigError

__all__ = ["main"]

_EPILOG = """\
With a name only that application of a file of several is reloaded, one with isolation = "process"; the other
applications, the workers and their connections are left alone.

exit codes: 0 the new code serves, 1 it does not start (the old code goes on serving; the server's log says
why), or cannot be reloaded by itself, or no server answers
"""


def main(argv: Sequence[str]) -> int:
    """Reload; returns the exit code. Raises ConfigError."""
    from pierhead.supervisor.control import ControlError, ask, find

    parser = Parser("reload", "Have a running server take up new code, and wait until it serves.", _EPILOG)
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="reload [apps.NAME] alone, which is isolated; else everything"
    )
    add_config(parser)
    add_settings(parser, ["control_socket"])
    given = parser.parse(argv)
    name = given.pop("name")
    settings = configuration(given).settings
    if not settings.control_socket:
        raise ConfigError("control_socket is empty: the server has none; send SIGHUP to its master instead")
    try:
        path = find(settings.control_socket)
        if name:  # its code is loaded and then started, in one worker and then in the others
            answer = ask(path, 4 * settings.start_timeout_s + 10.0, command="reload", app=name)
        else:
            answer = ask(path, settings.start_timeout_s + 10.0, command="reload")
    except ControlError as error:
        print(f"pierhead: {error}", file=sys.stderr)
        return 1
    if "failed" in answer:
        print(f"pierhead: {answer['failed']}", file=sys.stderr)
        return 1
    if name:
        count = answer["workers"]
        print(f"the new code of {name} serves in {count} worker{'s' if count != 1 else ''}")
        return 0
    print(f"generation {answer['reloaded']} serves")
    return 0
