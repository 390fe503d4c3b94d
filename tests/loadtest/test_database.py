"""What is in the database before a run, and what PostgreSQL counted during it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loadtest.database import Statistics, dataset, rows_of
from loadtest.targets import TargetError
from stack.bench import subject_of
from stack.state import State
from tests.kit import Kit, eventually


@pytest.fixture
def sql(stack_kit: Kit) -> Callable[[str], str]:
    """Asks the stack's database."""
    asked = subject_of(State(stack_kit.state)).sql
    assert asked
    return asked


def test_the_same_seed_gives_the_same_rows() -> None:
    assert rows_of(50, 7) == rows_of(50, 7)
    assert rows_of(50, 7) != rows_of(50, 8)
    users = rows_of(2, 1)["simple.users"].splitlines()
    assert [line.split("\t")[1] for line in users] == [
        "dataset-0000000@example.org",
        "dataset-0000001@example.org",
    ]


def test_the_rows_are_there_for_the_run_and_gone_afterwards(sql: Callable[[str], str]) -> None:
    count = "SELECT count(*) FROM simple.users; SELECT count(*) FROM database.products;"
    before = [int(line) for line in sql(count).split()]
    with dataset(sql, 300, seed=5) as facts:
        now = [int(line) for line in sql(count).split()]
        assert now == [rows + 300 for rows in before]
        assert list(facts["tables"].values()) == now
        assert (facts["rows"], facts["seed"], len(facts["sha256"])) == (300, 5, 64)
        with dataset(sql, 10, seed=5) as other:  # what a run that was killed has left is cleared away first
            assert list(other["tables"].values()) == [rows + 10 for rows in before]
            assert other["sha256"] != facts["sha256"]
    assert [int(line) for line in sql(count).split()] == before


def test_statistics_are_of_the_time_between(sql: Callable[[str], str]) -> None:
    statistics = Statistics(sql)
    statistics.start()
    with dataset(sql, 100, seed=1):
        eventually(lambda: (statistics.stop() or {})["tup_inserted"] >= 200, "the rows are counted")
    found = statistics.stop()
    assert found
    assert found["xact_commit"] > 0
    assert found["wal_bytes"] > 10_000
    assert found["deadlocks"] == 0
    assert found["connections"] >= 0


def test_a_database_that_does_not_answer_has_no_statistics() -> None:
    working = True

    def restarting(script: str) -> str:
        if not working:
            raise TargetError("psql failed")
        return "0" if "pg_extension" in script else '{"xact_commit": 1, "connections": 2}'

    statistics = Statistics(restarting)
    statistics.start()
    assert statistics.stop() == {"xact_commit": 0, "connections": 2}
    working = False
    assert statistics.stop() is None
    assert Statistics(None).stop() is None


def test_a_failing_statement_is_named(sql: Callable[[str], str]) -> None:
    with pytest.raises(TargetError, match=r"psql failed: .*no_such_table"):
        sql("SELECT * FROM no_such_table")
