"""The matrix, run once for all tests that look at it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stack.matrix.checks import CHECKS
from stack.matrix.checks.by_gateway import CHECKS_BY_GATEWAY
from stack.matrix.command import result_of
from stack.matrix.options import BY_GATEWAY, TARGETS
from stack.matrix.place import missing
from stack.matrix.report import as_json

ALONE = ("crash-post", "all-dead", "frozen")  # what the number of replicas matters for


@pytest.fixture(scope="session")
def result() -> dict[str, Any]:
    """What matrix.json has: everything with two replicas, and with one what its number matters for."""
    for name in (*TARGETS, *BY_GATEWAY):
        if reason := missing(name):
            pytest.skip(f"{name}: {reason}")
    cells, targets = result_of(TARGETS, [2], list(CHECKS.values()))
    more, others = result_of(TARGETS, [1], [CHECKS[name] for name in ALONE])
    by_gateway, gateways = result_of(BY_GATEWAY, [1], list(CHECKS_BY_GATEWAY.values()))
    content: dict[str, Any] = json.loads(
        json.dumps(as_json([*more, *cells, *by_gateway], CHECKS, [*others, *targets, *gateways], {}))
    )
    return content
