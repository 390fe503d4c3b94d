"""`pierhead check`: shows the effective configuration, each value with its source, and the routes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pierhead.cli.options import add_application, add_config, add_settings, configuration
from pierhead.cli.parser import Parser
from pierhead.config.settings import Kind, Knob, knobs
from pierhead.config.values import format_value
from pierhead.errors import LoadError

if TYPE_CHECKING:
    from pierhead.config import Configuration, Settings
    from pierhead.interfaces.base import Application

__all__ = ["main"]

_EPILOG = """\
What it prints can be used as pierhead.toml.
exit codes: 0 all is well, 2 wrong usage or configuration, 3 the application does not load
"""


def main(argv: Sequence[str]) -> int:
    """Print the configuration and, where an application is named, its routes; returns the exit code.

    Raises ConfigError, and LoadError where the application does not load.
    """
    parser = Parser(
        "check",
        "Show the effective configuration and where it is from; load the application.",
        _EPILOG,
        "%(prog)s [module:app] [option ...]",
    )
    add_application(parser, optional=True)
    add_config(parser)
    add_settings(parser)
    found = configuration(parser.parse(argv))
    print("\n".join(_lines(found)))
    if found.settings.app:
        print()
        for line in _routes(found.settings):
            print(line)
    return 0


def _lines(found: Configuration) -> Iterator[str]:
    about = knobs()
    values = {name: _toml(knob, getattr(found.settings, name)) for name, knob in about.items()}
    names = max(map(len, values))
    width = min(40, max(map(len, values.values())))
    for name, text in values.items():
        zero = about[name].zero
        note = f" (0: {zero})" if zero and text == "0" else ""
        yield f"{name:<{names}} = {text:<{width}}  # {found.sources[name]}{note}"


def _toml(knob: Knob, value: Any) -> str:
    """Write a value as TOML that is read back as the same value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)
    if value is None:
        return '""'
    if knob.kind is Kind.COUNT or value == 0:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(format_value(knob, value) if value != "" else "", ensure_ascii=False)


def _routes(settings: Settings) -> Iterator[str]:
    """Yield lines about what is served; raises LoadError, in the end, where something does not load."""
    from pierhead.interfaces.configured import load_configured
    from pierhead.interfaces.sites import Sites

    application = load_configured(settings)
    if not isinstance(application, Sites):
        yield from _listed(settings.app, application)
        return
    failed = []
    for site in application.sites:
        hosts = " ".join(site.settings.hosts) or "any host"
        yield f"# {site.name} at {site.settings.path} of {hosts}: {site.settings.app}"
        if site.application is None:
            failed.append(site.name)
            yield f"#   does not load: {site.error}"
        else:
            yield from _listed(site.name, site.application)
    if failed:
        raise LoadError(f"{settings.app}: {', '.join(failed)} do not load")


def _listed(name: str, application: Application) -> Iterator[str]:
    from pierhead.interfaces.native import NativeApplication
    from pierhead.isolation.layer import Isolated

    if isinstance(application, Isolated):
        if application.whole:
            name += " (isolated: each request in a process of its own)"
        application = application.application
    if not isinstance(application, NativeApplication):
        yield f"# {name} loads; it does not list its routes"
        return
    listed = application.app.routes()
    if not listed:
        yield f"# {name} loads; it has no routes"
        return
    yield f"# {name}, in the order in which it is asked"
    rows = [
        (
            ",".join(item.methods),
            item.pattern,
            item.handler,
            f"{item.where}{'  isolated' if item.isolated else ''}",
        )
        for item in listed
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        yield "  ".join(["#", *cells, row[3]]).rstrip()
