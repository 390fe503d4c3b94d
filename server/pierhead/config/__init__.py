"""Configuration: what can be set (`Settings`), and how it is read from file, environment and command line."""

from __future__ import annotations

from pierhead.config.settings import Settings
from pierhead.config.sources import Configuration, load_configuration

__all__ = ["Configuration", "Settings", "load_configuration"]
