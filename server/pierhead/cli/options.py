"""Command line options: one for each setting."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from pierhead.cli.parser import Parser
from pierhead.config import Configuration, load_configuration
from pierhead.config.settings import Kind, knobs
from pierhead.config.sources import VARIABLE_PREFIX, option_name
from pierhead.config.values import format_value
from pierhead.errors import ConfigError

__all__ = ["add_application", "add_config", "add_settings", "configuration"]

_METAVARS = {
    Kind.TEXT: "TEXT",
    Kind.COUNT: "NUMBER",
    Kind.SIZE: "SIZE",
    Kind.DURATION: "TIME",
    Kind.LIST: "ITEM",
    Kind.MODE: "MODE",
}


def add_application(parser: Parser, *, optional: bool) -> None:
    """Add the positional that names the application."""
    parser.add_argument(
        "app",
        nargs="?" if optional else None,
        metavar="module:app",
        help="the application: module:attribute or path/file.py:attribute (an App, ASGI or WSGI), "
        "program:path, fastcgi://host:port, scgi://host:port, or a .toml file of several",
    )


def add_config(parser: Parser) -> None:
    """Add --config."""
    parser.option("--config", metavar="FILE", help="read this instead of pierhead.toml")


def add_settings(parser: Parser, only: Sequence[str] = ()) -> None:
    """Add an option for each setting but the application itself, or for those in `only`."""
    for name, knob in knobs().items():
        if name == "app" or (only and name not in only):
            continue
        about = f"{knob.help}; {VARIABLE_PREFIX}{name.upper()}, default {format_value(knob, knob.default)}"
        about = about.replace("%", "%%")
        option = option_name(name)
        if knob.kind is Kind.FLAG:
            parser.option(option, action=argparse.BooleanOptionalAction, help=about)
            parser.options.append("--no-" + option.removeprefix("--"))
        elif knob.kind is Kind.LIST:
            parser.option(option, action="append", metavar=_METAVARS[knob.kind], help=about + "; repeatable")
        else:
            metavar = "|".join(knob.choices) or _METAVARS[knob.kind]
            parser.option(option, metavar=metavar, help=about)


def configuration(given: dict[str, Any]) -> Configuration:
    """Put the command line together with the other sources; warnings go to standard error.

    Raises ConfigError.
    """
    arguments: dict[str, Any] = {}
    for name in knobs():
        value = given.get(name)
        if isinstance(value, list):
            value = tuple(item for text in value for item in text.split(",") if item)
        if value is not None:
            arguments[name] = value
    file = given.get("config")
    if file == "":
        raise ConfigError("--config = '': name a file")
    found = load_configuration(arguments, os.environ, file)
    for warning in found.warnings:
        print(f"pierhead: {warning}", file=sys.stderr)
    return found
