"""Routing: typed path patterns, and the tree that finds the handler of a path."""

from __future__ import annotations

from pierhead.routing.converters import Converter, Converters
from pierhead.routing.handlers import Handler
from pierhead.routing.limits import Limits, LimitsGiven, RouteOptions
from pierhead.routing.patterns import Pattern, parse_pattern
from pierhead.routing.router import Match, Mount, Route, Router, Routes

__all__ = [
    "Converter",
    "Converters",
    "Handler",
    "Limits",
    "LimitsGiven",
    "Match",
    "Mount",
    "Pattern",
    "Route",
    "RouteOptions",
    "Router",
    "Routes",
    "parse_pattern",
]
