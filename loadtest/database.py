"""The database of a run: what is in it before anything is measured, and what it did meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

from loadtest.subject import Sql
from loadtest.targets import TargetError

__all__ = ["ROWS", "SEED", "Statistics", "dataset", "rows_of"]

ROWS = 10_000
SEED = 1
WORDS = ("amber", "brook", "cedar", "dune", "ember", "fjord", "grove", "heath", "islet", "moor")
# Table -> the columns that are written, and which rows are ours.
TABLES = {
    "simple.users": ("name, email", "email LIKE 'dataset-%@example.org'"),
    "database.products": ("sku, name, price_cents, stock", "sku LIKE 'DATASET-%'"),
}
CLEAR = "".join(f"DELETE FROM {table} WHERE {ours};\n" for table, (_, ours) in TABLES.items())  # noqa: S608
# Free space and the planner's figures are the same before each run, whatever was there before.
SETTLE = "".join(f"VACUUM ANALYZE {table};\n" for table in TABLES) + "CHECKPOINT;\n"
COUNT = "SELECT json_build_object({});".format(
    ", ".join(f"'{table}', (SELECT count(*) FROM {table})" for table in TABLES)  # noqa: S608
)
# Cumulative, of this database (https://www.postgresql.org/docs/18/monitoring-stats.html).
COUNTERS = (
    "xact_commit", "xact_rollback", "blks_hit", "blks_read", "tup_returned", "tup_fetched", "tup_inserted",
    "tup_updated", "tup_deleted", "temp_bytes", "deadlocks",
)  # fmt: skip
STATISTICS = """\
SELECT json_build_object(
    {counters}, 'active_ms', active_time, 'wal_bytes', pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0'),
    'connections', (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND backend_type = 'client backend' AND pid <> pg_backend_pid())
) FROM pg_stat_database WHERE datname = current_database();
""".format(counters=", ".join(f"'{name}', {name}" for name in COUNTERS))  # noqa: S608
HAS_STATEMENTS = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements';"
STATEMENTS = """\
SELECT json_build_object('calls', sum(calls), 'rows', sum(rows), 'exec_ms', sum(total_exec_time))
FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database());
"""


def rows_of(rows: int, seed: int) -> dict[str, str]:
    """Return table -> its rows as PostgreSQL's COPY reads them: always the same for the same arguments."""
    chance = random.Random(seed)  # noqa: S311 - it has to be the same again
    users, products = [], []
    for number in range(rows):
        name = " ".join(chance.choices(WORDS, k=2)).title()
        users.append(f"{name}\tdataset-{number:07}@example.org\n")
        price, stock = chance.randrange(100, 100_000), chance.randrange(1000)
        products.append(f"DATASET-{number:07}\t{name}\t{price}\t{stock}\n")
    return {"simple.users": "".join(users), "database.products": "".join(products)}


@contextlib.contextmanager
def dataset(sql: Sql, rows: int, seed: int) -> Iterator[dict[str, Any]]:
    """Have so many rows in each of TABLES, beside what is there, for the time of the block.

    Yields how many and from which seed, their digest, and how many each table has with them. Raises
    TargetError.
    """
    made = rows_of(rows, seed)
    script = [CLEAR]
    for table, (columns, _) in TABLES.items():
        script += [f"COPY {table} ({columns}) FROM STDIN;\n{made[table]}\\.\n"]
    try:
        sql("".join([*script, SETTLE]))
        digest = hashlib.sha256("".join(made.values()).encode()).hexdigest()
        yield {"rows": rows, "seed": seed, "sha256": digest, "tables": json.loads(sql(COUNT))}
    finally:
        with contextlib.suppress(TargetError):  # died during the run: that has been said already
            sql(CLEAR)


class Statistics:
    """What the database counts, from its making to `stop`.

    PostgreSQL's processes report what they have counted about once a second: the last second of a run may
    be missing, and the last one of the run before may be in it.
    """

    def __init__(self, sql: Sql | None) -> None:
        self.sql = sql
        self.query = ""
        if sql is not None:
            self.query = STATISTICS
            if int(sql(HAS_STATEMENTS)):
                self.query += STATEMENTS
        self.before: Mapping[str, float] = {}

    def start(self) -> None:
        """Count from now on."""
        self.before = self.read()

    def stop(self) -> dict[str, float] | None:
        """Return what has happened since, and how many connections there are; None if it does not answer."""
        if self.sql is None:
            return None
        after = self.read()
        if not after or not self.before:
            return None
        return {
            name: value if name == "connections" else value - self.before.get(name, 0)
            for name, value in after.items()
        }

    def read(self) -> dict[str, float]:
        """Return the counters; none if the database does not answer."""
        found: dict[str, float] = {}
        try:
            lines = self.sql(self.query).splitlines() if self.sql else []
        except TargetError:  # it is restarting: what that does to the load, the load says
            return {}
        for line in lines:
            found |= {name: value or 0 for name, value in json.loads(line).items()}
        return found
