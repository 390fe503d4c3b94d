"""`pierhead run`: serves an application until it is stopped."""

from __future__ import annotations

from collections.abc import Sequence

from pierhead.cli.options import add_application, add_config, add_settings, configuration
from pierhead.cli.parser import Parser
from pierhead.errors import ConfigError

__all__ = ["main"]

_EPILOG = """\
Each option can be set in pierhead.toml as well, as max_body_bytes = "64MiB", and by a variable of the
environment, as PIERHEAD_MAX_BODY_BYTES=64MiB. The command line wins over the environment, and that over the
file. `pierhead check` shows what is in effect and why.

SIGTERM and SIGINT stop it once the requests in progress are answered; SIGHUP reloads the application.
exit codes: 0 stopped, 1 failed, 2 wrong usage or configuration, 3 the application did not load or start,
4 a listener could not be bound
"""


def main(argv: Sequence[str]) -> int:
    """Serve the application; returns the exit code. Raises ConfigError."""
    parser = Parser("run", "Serve an application.", _EPILOG, "%(prog)s [module:app] [option ...]")
    add_application(parser, optional=True)
    add_config(parser)
    add_settings(parser)
    settings = configuration(parser.parse(argv)).settings
    if not settings.app:
        raise ConfigError(
            'no application is named: pierhead run module:app, or app = "module:app" in pierhead.toml, or '
            "PIERHEAD_APP"
        )
    from pierhead.supervisor import read_certificates, run

    read_certificates(settings)  # each generation does so for itself: this is to say at once what is wrong
    return run(settings)
