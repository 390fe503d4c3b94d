"""The examples' load tests against the examples themselves: what they do, and what they find wrong."""

from __future__ import annotations

import pytest

from loadtest import tools
from loadtest.scenario import ROOT
from loadtest.spawner import Spawner
from tests.kit import Kit
from tests.loadtest.fake import fake_stack

# What each of them has to have measured.
KINDS = {
    "database": {"GET /products/ID", "GET /products"},
    "etag": {"GET /user/ID 304"},
    "hexagonal": {"GET /products/ID"},
    "simple": {"GET /users/ID", "GET /users"},
    "sse": {"own"},
    "websocket": {"chat", "echo"},
}


@pytest.fixture(scope="module")
def nginx(stack_kit: Kit) -> str:
    """The URL of a proxy of the stack."""
    return str(stack_kit.status()["nginx"]["url"])


def test_each_example_has_one() -> None:
    assert KINDS.keys() == {path.parent.name for path in (ROOT / "examples").glob("*/load.py")}
    assert KINDS.keys() == {path.parent.name for path in (ROOT / "examples").glob("*/app.py")}


@pytest.mark.parametrize("name", KINDS)
def test_it_finds_right_answers_through_a_proxy(name: str, nginx: str, spawner: Spawner) -> None:
    file, host = ROOT / "examples" / name / "load.py", f"{nginx}/{name}"
    sample = tools.run_locust([file], host, duration_s=1, users=4, rate=40, spawner=spawner)
    assert sample.errors == {}, sample.note
    assert sample.counts.keys() & KINDS[name], sample.counts


def test_a_gap_in_a_stream_of_events_is_an_error(spawner: Spawner) -> None:
    with fake_stack() as fake:
        file = ROOT / "examples" / "sse" / "load.py"
        sample = tools.run_locust([file], f"{fake.url}/sse", duration_s=1, users=1, rate=20, spawner=spawner)
        fake.notifications.put(None)
    assert sample.errors.keys() == {"gap"}
    assert "3 came after 1" in sample.note
    assert sample.counts["own"] > 0
