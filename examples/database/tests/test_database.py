"""What the example promises, on a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest

from pierhead.testing import Client, ClientResponse

ROPE = {"sku": "ROPE-20", "name": "Rope, 20 m", "price_cents": 2490, "stock": 7}
BUOY = {"sku": "BUOY", "name": "Buoy", "price_cents": 995, "stock": 0}


def created(client: Client, product: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/products", json=product)
    assert response.status == 201, response.text
    found: dict[str, Any] = response.json()
    return found


def problem(response: ClientResponse, status: int) -> dict[str, Any]:
    """Check that the response is problem details (RFC 9457); return them."""
    assert response.status == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    details: dict[str, Any] = response.json()
    assert details["status"] == status
    return details


# Create, read, update, delete


def test_the_index_says_where_the_products_are(client: Client) -> None:
    assert client.get("/").json() == {"example": "database", "products": "/products"}


def test_a_product_is_created_at_a_location(client: Client) -> None:
    response = client.post("/products", json=ROPE)
    assert response.status == 201
    product = response.json()
    assert product == {"id": product["id"], "version": 1, "updated": product["updated"], **ROPE}
    assert datetime.fromisoformat(product["updated"]).tzinfo
    assert response.headers["Location"] == f"/products/{product['id']}"
    assert client.get(response.headers["Location"]).json() == product


def test_stock_is_none_unless_said(client: Client) -> None:
    assert created(client, {"sku": "A", "name": "a", "price_cents": 0})["stock"] == 0


def test_a_product_is_replaced_changed_and_deleted(client: Client) -> None:
    product = created(client, ROPE)
    url = f"/products/{product['id']}"
    replaced = client.put(url, json=BUOY | {"version": 1}).json()
    assert replaced == {"id": product["id"], "version": 2, "updated": replaced["updated"], **BUOY}
    assert replaced["updated"] > product["updated"]
    changed = client.patch(url, json={"stock": 12, "version": 2}).json()
    assert changed == replaced | {"stock": 12, "version": 3, "updated": changed["updated"]}
    gone = client.delete(url)
    assert (gone.status, gone.body) == (204, b"")
    problem(client.get(url), 404)


def test_what_get_shows_can_be_put_back(client: Client) -> None:
    product = created(client, ROPE)
    response = client.put(f"/products/{product['id']}", json=product)
    assert response.json() == product | {"version": 2, "updated": response.json()["updated"]}


def test_pages_follow_each_other_until_the_last(client: Client) -> None:
    products = [created(client, ROPE | {"sku": f"ROPE-{n}"}) for n in range(5)]
    first = client.get("/products?limit=2")
    assert first.json()["products"] == products[:2]
    assert first.headers["Link"] == f'<{first.json()["next"]}>; rel="next"'
    second = client.get(first.json()["next"])
    assert second.json()["products"] == products[2:4]
    assert client.get(second.json()["next"]).json() == {"products": products[4:], "next": None}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=ten", "after=-1", "after=" + "9" * 19])
def test_a_page_that_cannot_be_is_400(client: Client, query: str) -> None:
    assert problem(client.get(f"/products?{query}"), 400)["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("product_id", ["0", "123456789", str(2**63), "9" * 100])
def test_a_product_that_does_not_exist_is_404(client: Client, method: str, product_id: str) -> None:
    body = {"json": ROPE | {"version": 1}} if method in ("PUT", "PATCH") else {}
    problem(client.request(method, f"/products/{product_id}", **body), 404)


def test_a_method_that_is_not_there_is_405_with_those_that_are(client: Client) -> None:
    response = client.delete("/products")
    problem(response, 405)
    assert {name.strip() for name in response.headers["Allow"].split(",")} == {
        "GET",
        "HEAD",
        "OPTIONS",
        "POST",
    }


def test_a_body_that_is_not_json_is_415_and_broken_json_400(client: Client) -> None:
    problem(client.post("/products", content=b"sku=A", headers={"Content-Type": "text/plain"}), 415)
    problem(client.post("/products", content=b"{", headers={"Content-Type": "application/json"}), 400)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sku", ""), ("sku", "rope"), ("sku", "-A"), ("sku", "A" * 41), ("sku", "A\n"), ("sku", 1),
        ("name", ""), ("name", " "), ("name", "x" * 201), ("name", "a\x00"),
        ("name", None), ("price_cents", -1), ("price_cents", 1.5), ("price_cents", "1"),
        ("price_cents", True), ("price_cents", 2**31), ("price_cents", None), ("stock", -1), ("stock", None),
    ],
)  # fmt: skip
def test_a_wrong_field_is_422_and_named(client: Client, field: str, value: object) -> None:
    errors = problem(client.post("/products", json=ROPE | {field: value}), 422)["errors"]
    assert [error["pointer"] for error in errors] == [f"#/{field}"]
    product = created(client, ROPE)
    change = {field: value, "version": 1}
    assert problem(client.patch(f"/products/{product['id']}", json=change), 422)["errors"] == errors


def test_everything_that_is_wrong_is_said_at_once(client: Client) -> None:
    errors = problem(client.post("/products", json={"colour": "red"}), 422)["errors"]
    assert [error["pointer"] for error in errors] == ["#/sku", "#/name", "#/price_cents", "#"]
    assert errors[-1]["detail"] == "a product has no 'colour'"
    problem(client.post("/products", content=b"[]", headers={"Content-Type": "application/json"}), 422)


def test_values_never_become_sql(client: Client) -> None:
    name = "'); DROP TABLE products; -- %s %(id)s"
    product = created(client, ROPE | {"name": name})
    assert client.get(f"/products/{product['id']}").json()["name"] == name


def test_a_sku_that_is_taken_is_409(client: Client) -> None:
    created(client, ROPE)
    assert problem(client.post("/products", json=ROPE), 409)["detail"] == "another product has this sku"
    buoy = created(client, BUOY)
    taken = client.patch(f"/products/{buoy['id']}", json={"sku": ROPE["sku"], "version": 1})
    assert problem(taken, 409)["detail"] == "another product has this sku"
    assert client.get(f"/products/{buoy['id']}").json() == buoy


FROM_EXAMPLE = "FROM pg_stat_activity WHERE application_name = 'pierhead-database'"


# When the database has too much to do, or is not there


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Keep everybody from reading products."""
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE database.products")
        yield


def unavailable(response: ClientResponse) -> str:
    assert response.headers["Retry-After"] == "1"
    return str(problem(response, 503)["detail"])


def test_a_statement_that_takes_too_long_is_503(
    module: ModuleType, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STATEMENT_TIMEOUT_S", 1)
    with Client(module.app) as client, locked(url):
        assert unavailable(client.get("/products")) == "the database took too long"


def test_with_all_connections_busy_the_others_are_503_and_do_not_wait_for_these(
    module: ModuleType, url: str, other: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POOL_SIZE", 2)
    monkeypatch.setattr(module, "POOL_MAX_WAITING", 3)
    monkeypatch.setattr(module, "POOL_TIMEOUT_S", 2)
    monkeypatch.setattr(module, "STATEMENT_TIMEOUT_S", 6)
    with Client(module.app) as client, ThreadPoolExecutor(12) as threads:
        created(client, ROPE)

        def timed(number: int) -> tuple[ClientResponse, float]:
            start = time.monotonic()
            return client.get("/products"), time.monotonic() - start

        with locked(url):
            answers = list(threads.map(timed, range(12)))
        assert {unavailable(response) for response, _ in answers} == {
            "the database took too long",  # those with a connection
            "the database cannot answer now",  # those without
        }
        assert sorted(seconds for _, seconds in answers)[9] < 6.0
        assert client.get("/products").status == 200


def test_connections_that_were_cut_are_replaced_unseen(
    client: Client, url: str, other: psycopg.Connection
) -> None:
    created(client, ROPE)
    with ThreadPoolExecutor(5) as threads:  # as many requests as connections, so that the pool is full
        with locked(url):
            requests = [threads.submit(client.get, "/products") for _ in range(5)]
            wait_for_backends(other, 5)
        assert [request.result().status for request in requests] == [200] * 5
    cut = other.execute(f"SELECT pg_terminate_backend(pid, 5000) {FROM_EXAMPLE}")
    assert cut.rowcount == 5
    assert [client.get("/products").status for _ in range(20)] == [200] * 20


def wait_for_backends(other: psycopg.Connection, count: int) -> None:
    """Wait until so many connections of the example wait for a lock."""
    sql = f"SELECT count(*) {FROM_EXAMPLE} AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 60
    while (row := other.execute(sql).fetchone()) != (count,):
        assert time.monotonic() < deadline, row
        time.sleep(0.01)


def test_a_database_that_is_down_is_503_within_the_time_for_a_connection(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    monkeypatch.setattr(module, "POOL_TIMEOUT_S", 0.2)
    with Client(module.app) as client:
        assert client.get("/").status == 200
        start = time.monotonic()
        assert unavailable(client.get("/products")) == "the database cannot answer now"
        assert time.monotonic() - start < 15


def test_without_migrations_the_answer_is_503_and_the_log_says_what_to_do(
    module: ModuleType, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = module.connection_arguments()
    arguments["options"] = arguments["options"].replace("search_path=database", "search_path=nothing")
    monkeypatch.setattr(module, "connection_arguments", lambda: arguments)
    with Client(module.app) as client:
        assert unavailable(client.get("/products")) == "the database is not ready"
    assert "apply db/migrations to this database first" in caplog.text


# Configuration


def test_without_database_url_it_does_not_start(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(Exception, match="needs PostgreSQL: set DATABASE_URL=postgresql://"):
        Client(module.app).__enter__()


def test_the_password_may_come_from_a_file(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    assert module.connection_arguments()["password"] == "s3cret"
