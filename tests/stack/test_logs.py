"""Logs: their end, and following them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stack.logs import TAIL_BYTES, Follower, labelled, tail


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert tail(log, 2) == ["line 98", "line 99"]
    assert tail(log, 0) == []
    log.write_bytes(b"x" * (2 * TAIL_BYTES) + b"\nlast \xff\n")
    assert tail(log, 1) == ["last \N{REPLACEMENT CHARACTER}"]
    assert tail(tmp_path / "none", 5) == []


def test_following_gives_complete_lines_with_their_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("old\n")
    with Follower({"one": one, "two": two}, from_start=False) as follower:
        assert follower.poll() == []
        with one.open("a") as file:
            file.write("new\nhal")
            file.flush()
            assert follower.poll() == [("one", "new")]
            file.write("f\n")
        two.write_text("late\n")
        assert sorted(follower.poll() + follower.poll()) == [("one", "half"), ("two", "late")]


def test_a_log_that_is_replaced_is_followed_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\n")
    with Follower({"app": log}, from_start=True) as follower:
        log.rename(tmp_path / "log.1")
        log.write_text("second\n")
        assert follower.poll() + follower.poll() == [("app", "first"), ("app", "second")]


def test_labels_are_of_one_width(monkeypatch: pytest.MonkeyPatch) -> None:
    assert labelled(["db", "app-1"]) == {"db": "db    | ", "app-1": "app-1 | "}
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert labelled(["db"])["db"] == "\033[36mdb |\033[0m "
    monkeypatch.setenv("NO_COLOR", "1")
    assert labelled(["db"])["db"] == "db | "
