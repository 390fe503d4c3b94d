"""All checks, in the order of the matrix: importing a module registers its checks."""

from __future__ import annotations

from stack.matrix.check import CHECKS as REGISTERED
from stack.matrix.checks import (
    changes,
    compression,
    everyday,
    facts,
    limits,
    malformed,
    streams,
    targets,
    validators,
    websockets,
)

__all__ = ["CHECKS"]

_GROUPS = (
    everyday.GROUP,
    validators.GROUP,
    compression.GROUP,
    streams.GROUP,
    websockets.GROUP,
    limits.GROUP,
    facts.GROUP,
    targets.GROUP,
    malformed.GROUP,
    changes.GROUP,
)
CHECKS = {name: one for group in _GROUPS for name, one in REGISTERED.items() if one.group == group}
