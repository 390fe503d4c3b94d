"""The HTTP adapter, and the composition root with everything real behind it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
from shop.adapters import http
from shop.domain.service import Shop

from pierhead.testing import Client, ClientResponse

ADA = {"email": "ada@example.org", "name": "Ada", "password": "correct horse battery"}
LOGIN = {"email": ADA["email"], "password": ADA["password"]}
ROPE = {"sku": "ROPE", "name": "Rope", "price_cents": 2490}


@pytest.fixture
def client(composed: AbstractAsyncContextManager[Shop]) -> Iterator[Client]:
    """A client of the shop, on each set of adapters in turn."""
    with Client(http.application(lambda: composed)) as client:
        yield client


@pytest.fixture
def root() -> ModuleType:
    """The composition root as a fresh module."""
    path = Path(__file__).parents[1] / "app.py"
    spec = importlib.util.spec_from_file_location("hexagonal_example", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def logged_in(client: Client) -> dict[str, str]:
    """Register Ada, log her in; return the header that says so."""
    assert client.post("/users", json=ADA).status == 201
    response = client.post("/login", json=LOGIN)
    assert response.status == 200, response.text
    return {"Authorization": f"Bearer {response.json()['token']}"}


def problem(response: ClientResponse, status: int) -> dict[str, Any]:
    """Check that the response is problem details (RFC 9457); return them."""
    assert response.status == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    details: dict[str, Any] = response.json()
    return details


def test_the_index_says_where_everything_is(client: Client) -> None:
    assert client.get("/").json() == {
        "example": "hexagonal", "products": "/products", "users": "/users", "login": "/login",
    }  # fmt: skip


def test_registering_shows_the_user_and_never_a_password(client: Client) -> None:
    response = client.post("/users", json=ADA)
    assert (response.status, response.headers["Location"]) == (201, "/me")
    assert response.json() == {"id": response.json()["id"], "email": "ada@example.org", "name": "Ada"}
    answers = [client.post("/users", json=ADA), client.post("/login", json=LOGIN | {"password": "wrong"})]
    answers += [client.post("/users", json=ADA | {"password": "short"}), client.post("/login", json=LOGIN)]
    assert [answer.status for answer in answers] == [409, 401, 422, 200]
    assert not any(word in answer.text for answer in answers for word in ("argon2", "horse", "hash"))


def test_a_login_gives_a_token_that_nobody_caches(client: Client) -> None:
    user = client.post("/users", json=ADA).json()
    response = client.post("/login", json=LOGIN)
    assert response.headers["Cache-Control"] == "no-store"
    session = response.json()
    assert session == {"token": session["token"], "expires": session["expires"], "user": user}
    me = client.get("/me", headers={"Authorization": f"bearer {session['token']}"})
    assert (me.json(), me.headers["Cache-Control"]) == (user, "no-store")


def test_a_product_is_added_by_who_is_logged_in(client: Client) -> None:
    token = logged_in(client)
    response = client.post("/products", json=ROPE, headers=token)
    assert response.status == 201
    assert response.json()["added_by"] == client.get("/me", headers=token).json()["id"]
    assert client.get(response.headers["Location"]).json() == response.json()
    assert problem(client.post("/products", json=ROPE, headers=token), 409)["detail"] == (
        "another product has this sku"
    )


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", "Basic YWRhOnNlY3JldA==", "Bearer a b", 'Bearer "x"']
)
def test_without_the_right_token_nothing_is_added(client: Client, authorization: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    for response in (
        client.post("/products", json=ROPE, headers=headers),
        client.get("/me", headers=headers),
    ):
        problem(response, 401)
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="shop"'
    assert client.get("/products").json() == {"products": [], "next": None}


def test_after_the_logout_the_token_is_worth_nothing(client: Client) -> None:
    token = logged_in(client)
    assert client.post("/logout", headers=token).status == 204
    problem(client.post("/products", json=ROPE, headers=token), 401)
    problem(client.post("/logout", headers=token), 401)


def test_pages_follow_each_other_until_the_last(client: Client) -> None:
    token = logged_in(client)
    skus = [f"ROPE-{number}" for number in range(3)]
    for sku in skus:
        client.post("/products", json=ROPE | {"sku": sku}, headers=token)
    first = client.get("/products?limit=2")
    assert [product["sku"] for product in first.json()["products"]] == skus[:2]
    assert first.headers["Link"] == f'<{first.json()["next"]}>; rel="next"'
    last = client.get(first.json()["next"]).json()
    assert ([product["sku"] for product in last["products"]], last["next"]) == (skus[2:], None)
    assert problem(client.get("/products?limit=0"), 400)["parameter"] == "limit"


def test_what_is_wrong_has_the_status_that_fits(client: Client) -> None:
    token = logged_in(client)
    problem(client.get("/products/123456789"), 404)
    problem(client.delete("/products"), 405)
    problem(client.post("/products", content=b"sku=A", headers=token | {"Content-Type": "text/plain"}), 415)
    errors = problem(client.post("/products", json={"sku": "?", "size": 1}, headers=token), 422)["errors"]
    assert [error["pointer"] for error in errors] == ["#/sku", "#/name", "#/price_cents", "#"]


def test_with_everything_real_a_hash_is_kept_and_no_token(
    root: ModuleType, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.delenv("DATABASE_PASSWORD_FILE", raising=False)
    with Client(root.app) as client:
        token = logged_in(client)
        assert client.post("/products", json=ROPE, headers=token).status == 201
    with psycopg.connect(database) as connection:
        [(password_hash,)] = connection.execute("SELECT password_hash FROM hexagonal.users").fetchall()
        [(digest,)] = connection.execute("SELECT digest FROM hexagonal.sessions").fetchall()
    assert password_hash.startswith("$argon2id$")
    assert ADA["password"] not in password_hash
    assert token["Authorization"].removeprefix("Bearer ").encode() not in digest
    with Client(root.app) as client:  # another worker, or the same after a restart: nothing was in memory
        assert client.get("/me", headers=token).json()["email"] == ADA["email"]


def test_a_database_that_is_down_is_503(root: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    monkeypatch.setattr(root.postgres, "POOL_TIMEOUT_S", 0.2)
    with Client(root.app) as client:
        assert client.get("/").status == 200
        for response in (client.get("/products"), client.post("/login", json=LOGIN)):
            assert problem(response, 503)["detail"] == "the database cannot answer now"
            assert response.headers["Retry-After"] == "1"


def test_without_migrations_the_log_says_what_to_do(
    root: ModuleType, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(root.postgres.Database, "rows", misled(root.postgres.Database.rows))
    monkeypatch.setenv("DATABASE_URL", database)
    with Client(root.app) as client:
        assert problem(client.get("/products"), 503)["detail"] == "the database is not ready"
    assert "apply db/migrations to this database first" in caplog.text


def misled(rows: Any) -> Any:
    """Return `rows` for a table that is not there."""

    async def nowhere(self: Any, sql: str, **values: object) -> Any:
        return await rows(self, sql.replace("FROM products", "FROM nowhere"), **values)

    return nowhere


def test_without_database_url_it_does_not_start(root: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(Exception, match="needs PostgreSQL: set DATABASE_URL=postgresql://"):
        Client(root.app).__enter__()
