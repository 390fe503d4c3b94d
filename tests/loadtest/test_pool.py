"""The sweep over pool sizes: each size serves, in turns, and what it did stands in the report."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from loadtest import bench, pool
from tests.loadtest.fake import FakeStack
from tests.loadtest.test_bench import document_in, running, runs

__all__ = ["runs"]  # a fixture


@pytest.mark.wrk
@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_each_size_is_measured_in_turns(database_url: str) -> None:
    found: list[dict[str, Any]] = []
    pool.sweep({"DATABASE_URL": database_url}, (2, 3), found, rounds=2, duration_s=1, connections=2)
    assert [(one["round"], one["size"]) for one in found] == [(1, 2), (1, 3), (2, 3), (2, 2)]
    for one in found:
        assert one["valid"], one["problems"]
        assert one["requests_per_s"] > 0
        assert one["latency_us"]["p99"] > 0
        assert one["cpu_s"]["app"] > 0


def test_it_is_a_part_of_a_run(
    stack: FakeStack, runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[tuple[str, Sequence[int]]] = []

    def sweep(database: dict[str, str], sizes: Sequence[int], *_: object, **options: int) -> None:
        measured.append((database["DATABASE_URL"], sizes))

    monkeypatch.setattr(pool, "sweep", sweep)
    argv = ["--quick", "--scenarios", "plaintext", "--pool", "1,2,4", "--output", str(tmp_path)]
    assert bench.main(argv, running(stack, "app", environment={"DATABASE_URL": "x"})) == 0
    assert measured == [("x", (1, 2, 4))]
    assert " --pool 1,2,4 " in document_in(tmp_path)["command"]


def test_an_application_that_does_not_start_makes_a_run_that_is_not_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    found: list[dict[str, Any]] = []
    pool.sweep({}, (2,), found, rounds=1, duration_s=1, connections=2)
    assert not found[0]["valid"]
    assert "set DATABASE_URL" in found[0]["problems"][0]
    assert found[0]["latency_us"] == {}


def test_without_a_database_or_a_size_it_is_refused(
    stack: FakeStack, runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--quick", "--pool", "2"], running(stack, "app")) == 1
    assert "--pool needs the database of a stack of ./kit" in capsys.readouterr().err
    assert bench.main(["--pool", "0"], running(stack, "app")) == 2
    assert "--pool" in capsys.readouterr().err
