"""The whole matrix, in the real programs: everything is right, or differs as documented."""

from __future__ import annotations

from typing import Any

import pytest

from stack.matrix.checks.by_gateway import CHECKS_BY_GATEWAY, NAMES
from stack.matrix.options import BY_GATEWAY
from stack.matrix.report import PAGE, page

pytestmark = [pytest.mark.apache, pytest.mark.slow]


def test_every_cell_is_right_or_differs_as_documented(result: dict[str, Any]) -> None:
    failed = [
        f"{cell['target']}/{cell['replicas']} {cell['check']}: {cell['outcome']} ({cell['reason']})"
        for cell in result["cells"]
        if cell["verdict"] == "fail"
    ]
    assert not failed, "\n".join(failed)


def test_every_check_was_made_of_every_target(result: dict[str, Any]) -> None:
    made = {(cell["check"], cell["target"]) for cell in result["cells"] if cell["replicas"] == 2}
    assert made == {
        (check, target) for check in result["checks"] for target in ("direct", "caddy", "nginx", "apache")
    }


def test_some_are_made_by_fastcgi_and_scgi(result: dict[str, Any]) -> None:
    assert set(NAMES) == CHECKS_BY_GATEWAY.keys()
    made = {(cell["check"], cell["target"]) for cell in result["cells"] if cell["target"] in BY_GATEWAY}
    assert made == {(check, target) for check in NAMES for target in BY_GATEWAY}


def test_the_page_says_what_was_found(result: dict[str, Any]) -> None:
    assert page(result) == PAGE.read_text(encoding="utf-8"), "write it anew: ./kit matrix --docs"


def test_the_latency_of_events_is_reported(result: dict[str, Any]) -> None:
    for target in result["targets"]:
        if target["replicas"] == 2:
            assert set(target["latencies_ms"]) == {"sse", "sse-browser", "pieces"}
