"""Loading what the configuration names: one application, or all those of a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pierhead.config.apps import PROGRAMS, AppSettings, read_apps
from pierhead.errors import ConfigError, LoadError
from pierhead.interfaces.base import Application
from pierhead.interfaces.load import checked_program, load
from pierhead.isolation.choose import isolated

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.interfaces.sites import Sites

__all__ = ["load_app", "load_configured", "load_file"]

logger = logging.getLogger("pierhead.app")


def load_configured(settings: Settings) -> Application:
    """Load the application that the settings name, see `load`, or all those of the file they name.

    Raises LoadError: of several applications only with `strict`, or where the file itself is wrong.
    """
    if settings.app.endswith(".toml"):
        return load_file(Path(settings.app_dir or ".") / settings.app, settings, strict=settings.strict)
    application = load(
        settings.app,
        interface=settings.interface,
        factory=settings.factory,
        app_dir=settings.app_dir,
        threads=settings.threads,
    )
    whole = settings.isolation == "process"
    if whole and settings.app.startswith(PROGRAMS):
        raise LoadError(f"{settings.app} runs in processes of its own: leave out isolation")
    return isolated(application, settings, whole=whole)


def load_file(file: Path, settings: Settings | None = None, *, strict: bool = False) -> Sites:
    """Load the applications of `file`, a TOML file with `[apps.NAME]` tables.

    `settings` are the server's, for what an application has no setting of its own.

    One that fails is reported in the log, and is None among the sites. Raises LoadError for a file that is
    wrong and, with `strict`, for an application that fails.
    """
    from pierhead.config import Settings
    from pierhead.interfaces.sites import Site, Sites

    try:
        apps = read_apps(file)
    except ConfigError as error:
        raise LoadError(str(error)) from None
    sites = []
    environment = dict(os.environ)
    for app in apps:
        try:
            sites.append(Site(app, _load_one(app, settings or Settings(), environment)))
        except LoadError as error:
            where = f"{file}: apps.{app.name}"
            if strict:
                raise LoadError(f"{where}: {error}") from error
            logger.error("%s: it answers 503, the others go on: %s", where, error)  # noqa: TRY400 - it says all
            sites.append(Site(app, None, str(error)))
    return Sites(sites, strict=strict)


def load_app(app: AppSettings) -> Application:
    """Load one application of several, which is in Python; raises LoadError."""
    directory = app.folder / (app.app_dir or ".")
    return load(app.app, interface=app.interface, factory=app.factory, app_dir=directory, threads=app.threads)


def _load_one(app: AppSettings, settings: Settings, environment: Mapping[str, str]) -> Application:
    if app.is_program:
        return _configured_program(app)
    whole = (app.isolation or settings.isolation) == "process"
    return isolated(load_app(app), settings, app, whole=whole, environment=environment)


def _configured_program(app: AppSettings) -> Application:
    from pierhead.interfaces.gateway import FastCGIApplication, ProgramApplication, ScgiApplication

    kind, _, rest = app.app.partition(":")
    common: dict[str, Any] = {"name": app.name, "variables": app.variables, "timeout_s": app.timeout_s}
    if kind == "program":
        path = app.folder / rest
        if not app.interpreter:
            checked_program(app.app, path)
        return ProgramApplication(path, arguments=app.interpreter, processes=app.concurrency, **common)
    root = None if app.root is None else app.folder / app.root
    if root is not None and not root.is_dir():
        raise LoadError(f"root = {app.root!r}: there is no directory {root}")
    common |= {"root": root, "connections": app.concurrency, "index": app.index, "suffix": app.suffix}
    try:
        if kind == "fastcgi":
            return FastCGIApplication(app.app, idle_connections=app.idle_connections, **common)
        return ScgiApplication(app.app, **common)
    except ValueError as error:
        raise LoadError(str(error)) from None
