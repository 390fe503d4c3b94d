"""Targets come from the stack's status, and have to give right answers before they are measured."""

from __future__ import annotations

import socket

import pytest

from loadtest.targets import Target, TargetError, chosen, fetch, probe_record
from tests.loadtest.fake import FakeStack

STATUS = {
    "caddy": {"url": "http://127.0.0.1:8081", "pid": 1},
    "app": {"url": "http://127.0.0.1:8080", "pid": 2},
    "db": {"url": "postgresql://127.0.0.1:5433/pierhead", "pid": 3},
}


def test_all_that_runs_is_measured_and_the_app_comes_first() -> None:
    assert chosen(STATUS, None, []) == [
        Target("direct", "http://127.0.0.1:8080"),
        Target("caddy", "http://127.0.0.1:8081"),
    ]


def test_some_targets_can_be_chosen_and_others_added() -> None:
    assert chosen(STATUS, ["caddy"], []) == [Target("caddy", "http://127.0.0.1:8081")]
    assert chosen({}, None, ["mine=http://127.0.0.1:9/"]) == [Target("mine", "http://127.0.0.1:9")]


@pytest.mark.parametrize(
    ("names", "more", "message"),
    [
        (["apache"], [], "not running: apache; running: direct, caddy"),
        (None, ["http://127.0.0.1:9"], "'http://127.0.0.1:9' is not NAME=URL"),
        (None, ["x=ftp://127.0.0.1"], "target x: 'ftp://127.0.0.1' is not like http://127.0.0.1:8080"),
        (None, ["x=http://127.0.0.1/simple"], "target x: 'http://127.0.0.1/simple' is not like"),
    ],
)
def test_a_target_that_is_not_there_is_refused(
    names: list[str] | None, more: list[str], message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        chosen(STATUS, names, more)


def test_without_a_stack_the_error_says_how_to_start_it() -> None:
    with pytest.raises(TargetError, match=r"start the stack first: \./kit up --detach"):
        chosen({}, None, [])


def test_a_dead_target_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(TargetError, match=rf"nginx \({url}\) does not answer: .*refused"):
        fetch(Target("nginx", url), "GET", "/")


def test_the_record_goes_away(stack: FakeStack) -> None:
    with probe_record(Target("direct", stack.url)) as record:
        assert list(stack.users) == [record["id"]]
    assert stack.users == {}


def test_a_target_that_cannot_write_is_refused(stack: FakeStack) -> None:
    stack.fail_after = 0
    with (
        pytest.raises(TargetError, match=r"POST /simple/users gave 500"),
        probe_record(Target("x", stack.url)),
    ):
        pytest.fail("there is no record")
