"""The sweep over pool sizes: each size serves, in turns, and the result is a table of ratios."""

from __future__ import annotations

import shutil

import pytest

from loadtest import pool
from loadtest.targets import TargetError
from loadtest.tools import Sample


@pytest.mark.wrk
@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_each_size_is_measured_in_turns(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert pool.main(["--sizes", "2,3", "--rounds", "2", "--duration", "1", "--connections", "2"]) == 0
    output = capsys.readouterr()
    turns = [line.split(":")[0].strip() for line in output.err.splitlines()]
    assert turns == [f"round {one}, {size} connections" for one, size in ((1, 2), (1, 3), (2, 3), (2, 2))]
    head, first, second = output.out.splitlines()
    assert "ratios to 2" in head
    assert first.split()[:2] == ["2", "1.00"]
    assert second.split()[0] == "3"


def test_a_run_with_errors_has_no_number() -> None:
    good = Sample(requests_per_s=100.0, requests=100, histogram=[[1000, 100]])
    bad = Sample(requests=100, errors={"status": 3})
    lines = pool.table({2: [good, good], 4: [good, bad]})
    assert lines[1].split()[:2] == ["2", "1.00"]
    assert lines[2].endswith("no number: a run had errors")


def test_an_application_that_does_not_start_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with (
        pytest.raises(TargetError, match=r"(?s)did not start.*set DATABASE_URL"),
        pool.application({}, 2),
    ):
        pass


def test_without_a_database_it_says_where_one_comes_from(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("KIT_STATE", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setattr(pool, "missing", lambda tool: None)
    assert pool.main([]) == 1
    assert "./kit up --detach --only db" in capsys.readouterr().err
