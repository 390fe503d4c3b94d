"""Imports by COPY and exports by a cursor: all or nothing, in constant memory, never all connections."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import psycopg
import pytest

from pierhead.testing import Client, ClientResponse

NDJSON = {"Content-Type": "application/x-ndjson"}
MANY = 50_000
ROPE = {"sku": "ROPE-20", "name": "Rope, 20 m", "price_cents": 2490, "stock": 7}


def rope(number: int) -> dict[str, Any]:
    return {"sku": f"ROPE-{number}", "name": f"Rope, {number} m", "price_cents": number, "stock": 1}


def send(client: Client, content: bytes) -> ClientResponse:
    return client.post("/products/import", content=content, headers=NDJSON)


def count(other: psycopg.Connection) -> int:
    row = other.execute("SELECT count(*) FROM database.products").fetchone()
    assert row
    return int(row[0])


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def many(other: psycopg.Connection) -> None:
    """A lot of products."""
    other.execute(
        "INSERT INTO database.products (sku, name, price_cents)"
        " SELECT 'P-' || n, repeat('x', 100), 1 FROM generate_series(1, %s) AS n",
        (MANY,),
    )


# Import


def test_every_line_becomes_a_product(client: Client, other: psycopg.Connection) -> None:
    products = [rope(number) for number in range(5000)]
    response = send(client, "\n".join(map(json.dumps, products)).encode())
    assert (response.status, response.json()) == (200, {"imported": 5000})
    rows = other.execute("SELECT sku, name, price_cents, stock FROM database.products ORDER BY id").fetchall()
    assert rows == [tuple(product.values()) for product in products]


def test_empty_lines_and_missing_stock_are_fine(client: Client, other: psycopg.Connection) -> None:
    content = b'\n{"sku": "A", "name": "tab\\u2003and \\\\N, \xc3\xa9", "price_cents": 1}\r\n  \n'
    assert send(client, content).json() == {"imported": 1}
    row = other.execute("SELECT name, stock FROM database.products").fetchone()
    assert row == ("tab\u2003and \\N, é", 0)
    assert send(client, b"").json() == {"imported": 0}


@pytest.mark.parametrize(
    ("line", "detail", "pointers"),
    [
        (b'{"sku": "b", "name": "B", "price_cents": 1}', "line 3: this is not a valid product", ["#/sku"]),
        (
            b'{"sku": "B", "name": "\\ud800", "price_cents": 1}',
            "line 3: this is not a valid product",
            ["#/name"],
        ),
        (b"[]", "line 3: a product must be a JSON object with sku, name, price_cents, stock", None),
        (b'{"sku": ', "line 3 is not JSON", None),
        (b"\xff", "line 3 is not JSON", None),
        (b"[" * 50_000, "line 3 is not JSON", None),
        (b'"' + b"x" * 200_000, "line 3 is longer than 65536 bytes", None),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_imported(
    client: Client, other: psycopg.Connection, line: bytes, detail: str, pointers: list[str] | None
) -> None:
    good = json.dumps(ROPE).encode()
    response = send(client, good + b"\n\n" + line + b"\n")
    assert response.status == 422, response.text
    problem = response.json()
    assert (problem["detail"], problem["line"]) == (detail, 3)
    assert [error["pointer"] for error in problem.get("errors", ())] == (pointers or [])
    assert count(other) == 0
    assert send(client, good).json() == {"imported": 1}  # the connection is as good as before


def test_a_sku_that_is_there_already_stops_the_whole_import(
    client: Client, other: psycopg.Connection
) -> None:
    assert client.post("/products", json=rope(1500)).status == 201
    response = send(client, "\n".join(json.dumps(rope(number)) for number in range(2000)).encode())
    assert (response.status, response.json()["detail"]) == (409, "another product has this sku")
    assert count(other) == 1


def test_another_kind_of_body_is_415(client: Client) -> None:
    assert client.post("/products/import", json=ROPE).status == 415


# Export


def test_an_export_is_what_the_list_shows(client: Client) -> None:
    send(client, "\n".join(json.dumps(rope(number)) for number in range(1234)).encode())
    response = client.get("/products/export")
    assert (response.status, response.headers["Content-Type"]) == (200, NDJSON["Content-Type"])
    lines = response.text.splitlines()
    assert len(lines) == 1234
    assert [json.loads(line) for line in lines[:20]] == client.get("/products").json()["products"]
    assert client.head("/products/export").body == b""


def test_no_products_are_an_empty_export(client: Client) -> None:
    response = client.get("/products/export")
    assert (response.status, response.body) == (200, b"")


@pytest.mark.usefixtures("many")
def test_an_export_takes_the_same_memory_however_many_rows_there_are(client: Client) -> None:
    assert client.get("/products").status == 200  # what is made once has been made
    tracemalloc.start()
    try:
        with client.stream("GET", "/products/export") as stream:
            received = sum(map(len, stream))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert received > MANY * 150
    assert peak < 3 << 20, f"{peak} bytes for a piece of 500 rows"


@pytest.mark.usefixtures("many")
def test_who_leaves_an_export_gives_the_connection_back(client: Client, module: ModuleType) -> None:
    for _ in range(module.BULK_JOBS + module.POOL_SIZE):
        with client.stream("GET", "/products/export") as stream:
            assert next(iter(stream))
        eventually(lambda: module.app.state.bulk_jobs == 0)
    assert client.get("/products?limit=1").status == 200


# Neither may keep the connections from the others


@pytest.mark.usefixtures("many")
def test_slow_exports_leave_connections_for_everybody_else(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POOL_SIZE", 3)
    with (
        Client(module.app) as client,
        client.stream("GET", "/products/export") as first,
        client.stream("GET", "/products/export") as second,
        ThreadPoolExecutor(8) as threads,
    ):
        assert (first.status, second.status) == (200, 200)
        response = client.get("/products/export")
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        assert response.json()["detail"] == "other imports and exports are running"
        assert send(client, b"{}").status == 503
        answers = threads.map(lambda _: client.get("/products?limit=1").status, range(20))
        assert set(answers) == {200}


@pytest.mark.usefixtures("many")
def test_an_export_that_nobody_reads_ends(
    module: ModuleType, other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BULK_TIMEOUT_S", 2)
    with Client(module.app) as client, client.stream("GET", "/products/export") as stream:
        assert stream.status == 200
        in_transaction = (
            "SELECT FROM pg_stat_activity"
            " WHERE application_name = 'pierhead-database' AND xact_start IS NOT NULL"
        )
        eventually(lambda: other.execute(in_transaction).rowcount == 0)
        with pytest.raises(ConnectionError, match="broken off"):  # the client sees that something is missing
            sum(map(len, stream))
        assert client.get("/products?limit=1").status == 200


def test_with_all_connections_busy_an_export_is_503(
    module: ModuleType, url: str, other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POOL_TIMEOUT_S", 2)
    monkeypatch.setattr(module, "STATEMENT_TIMEOUT_S", 6)
    waiting = (
        "SELECT FROM pg_stat_activity"
        " WHERE application_name = 'pierhead-database' AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(url) as locker, Client(module.app) as client, ThreadPoolExecutor(5) as threads:
        locker.execute("LOCK TABLE database.products")
        others = [threads.submit(client.get, "/products") for _ in range(module.POOL_SIZE)]
        eventually(lambda: other.execute(waiting).rowcount == module.POOL_SIZE)
        assert client.get("/products/export").status == 503
        assert {one.result().status for one in others} == {503}
        assert module.app.state.bulk_jobs == 0


def test_an_export_does_not_wait_long_for_a_lock(
    module: ModuleType, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STATEMENT_TIMEOUT_S", 1)
    with psycopg.connect(url) as locker, Client(module.app) as client:
        locker.execute("LOCK TABLE database.products")
        assert client.get("/products/export").status == 503
