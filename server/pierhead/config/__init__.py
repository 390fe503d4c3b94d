"""Configuration: what can be set (`Settings`), and how it is read from file, environment and command line.

Reading is imported where it is asked for: a program that has its settings does not read any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pierhead.config.settings import Settings

if TYPE_CHECKING:
    from pierhead.config.sources import Configuration, load_configuration

__all__ = ["Configuration", "Settings", "load_configuration"]


def __getattr__(name: str) -> Any:
    """Import what reads settings (PEP 562)."""
    if name in {"Configuration", "load_configuration"}:
        from pierhead.config import sources

        return getattr(sources, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
