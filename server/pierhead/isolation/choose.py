"""Choosing: whether something of an application is isolated. All else is imported only where that is so."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pierhead.errors import LoadError

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.config.apps import AppSettings
    from pierhead.interfaces.base import Application
    from pierhead.isolation.layer import Isolated, Isolation
    from pierhead.isolation.nursery import Closable

__all__ = ["isolated", "prepare", "reloadable"]


def isolated(
    application: Application,
    settings: Settings,
    app: AppSettings | None = None,
    *,
    whole: bool,
    environment: Mapping[str, str] | None = None,
) -> Application:
    """Return `application` with a layer, where all of it (`whole`) or some route is to be isolated.

    `app` has its own settings, where it is one of several, and `environment` the variables that it was loaded
    with, to load it again. Raises LoadError where this system cannot do it.
    """
    if not (whole or _has_isolated_handlers(application)):
        return application
    if not hasattr(os, "fork"):
        raise LoadError("isolation = 'process' needs a system that can fork: leave it out here")
    from pierhead.config.isolation import IsolationLimits
    from pierhead.isolation.layer import Isolated

    origin = None
    if whole and app is not None and environment is not None:
        from pierhead.isolation.fresh import Origin

        origin = Origin(app, environment)
    return Isolated(application, IsolationLimits.of(settings, app), whole=whole, origin=origin)


def reloadable(application: Application) -> dict[str, Isolated]:
    """Return, by their names, those of several applications that can be reloaded without the others."""
    if "pierhead.isolation.layer" not in sys.modules:
        return {}
    from pierhead.isolation.layer import named_parts

    return named_parts(application)


def prepare(
    application: Application, settings: Settings, inherited: Sequence[Closable] = ()
) -> Isolation | None:
    """Fork a nursery where something of an application is isolated.

    Before this process has threads or an event loop. `inherited` is what the nursery has to close. Raises
    OSError where it cannot be forked.
    """
    if "pierhead.isolation.layer" not in sys.modules:
        return None
    from pierhead.isolation.layer import Isolation

    return Isolation.prepare(application, settings, inherited)


def _has_isolated_handlers(application: Application) -> bool:
    if "pierhead.interfaces.native" not in sys.modules:
        return False
    from pierhead.interfaces.native import NativeApplication

    return isinstance(application, NativeApplication) and any(
        handler.isolated for app in application.app.tree() for handler in app.handlers()
    )
