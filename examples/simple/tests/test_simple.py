"""What the example promises: the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pierhead.testing import Client, ClientResponse

ADA = {"name": "Ada", "email": "ada@example.org"}
BOB = {"name": "Bob", "email": "bob@example.org"}


def created(client: Client, user: dict[str, str]) -> dict[str, Any]:
    response = client.post("/users", json=user)
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


def test_the_index_says_where_the_users_are(client: Client) -> None:
    assert client.get("/").json() == {"example": "simple", "users": "/users"}


def test_a_user_is_created_at_a_location(client: Client) -> None:
    response = client.post("/users", json=ADA)
    assert response.status == 201
    user = response.json()
    assert user == {"id": user["id"], **ADA}
    assert response.headers["Location"] == f"/users/{user['id']}"
    assert client.get(response.headers["Location"]).json() == user


def test_a_user_is_replaced_changed_and_deleted(client: Client) -> None:
    user = created(client, ADA)
    url = f"/users/{user['id']}"
    replaced = client.put(url, json=BOB)
    assert (replaced.status, replaced.json()) == (200, {"id": user["id"], **BOB})
    changed = client.patch(url, json={"name": "Bobby"})
    assert (changed.status, changed.json()) == (200, replaced.json() | {"name": "Bobby"})
    assert client.get(url).json() == changed.json()
    gone = client.delete(url)
    assert (gone.status, gone.body) == (204, b"")
    problem(client.get(url), 404)


def test_what_get_shows_can_be_put_back(client: Client) -> None:
    user = created(client, ADA)
    assert client.put(f"/users/{user['id']}", json=user | {"name": "Eve"}).json() == user | {"name": "Eve"}


def test_patch_takes_a_merge_patch_and_may_change_nothing(client: Client) -> None:
    user = created(client, ADA)
    headers = {"Content-Type": "application/merge-patch+json"}
    assert client.patch(f"/users/{user['id']}", content=b"{}", headers=headers).json() == user


def test_pages_follow_each_other_until_the_last(client: Client) -> None:
    users = [created(client, {"name": f"U{n}", "email": f"u{n}@example.org"}) for n in range(5)]
    first = client.get("/users?limit=2")
    assert first.json()["users"] == users[:2]
    assert first.headers["Link"] == f'<{first.json()["next"]}>; rel="next"'
    second = client.get(first.json()["next"])
    assert second.json()["users"] == users[2:4]
    last = client.get(second.json()["next"])
    assert last.json() == {"users": users[4:], "next": None}
    assert "Link" not in last.headers


def test_no_users_are_an_empty_page(client: Client) -> None:
    assert client.get("/users").json() == {"users": [], "next": None}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=ten", "limit=", "after=-1", "after=1e3", "after=" + "9" * 19]
)
def test_a_page_that_cannot_be_is_400(client: Client, query: str) -> None:
    assert problem(client.get(f"/users?{query}"), 400)["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("user_id", ["0", "123456", str(2**63), "9" * 100])
def test_a_user_who_does_not_exist_is_404(client: Client, method: str, user_id: str) -> None:
    body = {"json": ADA} if method in ("PUT", "PATCH") else {}
    problem(client.request(method, f"/users/{user_id}", **body), 404)


@pytest.mark.parametrize("path", ["/nothing", "/users/ada", "/users/1/2", "/users/"])
def test_a_path_that_does_not_exist_is_404(client: Client, path: str) -> None:
    problem(client.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/users", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/users/1", {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"}),
        ("POST", "/", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_method_that_is_not_there_is_405_with_those_that_are(
    client: Client, method: str, path: str, allowed: set[str]
) -> None:
    response = client.request(method, path)
    problem(response, 405)
    assert {name.strip() for name in response.headers["Allow"].split(",")} == allowed


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_json_is_415(client: Client, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    problem(client.post("/users", content=b"name=Ada", headers=headers), 415)


def test_a_body_that_is_broken_json_is_400(client: Client) -> None:
    problem(client.post("/users", content=b'{"name": ', headers={"Content-Type": "application/json"}), 400)


@pytest.mark.parametrize("content", [b"[]", b"null", b'"Ada"', b"1"])
def test_json_that_is_no_object_is_422(client: Client, content: bytes) -> None:
    problem(client.post("/users", content=content, headers={"Content-Type": "application/json"}), 422)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "   "), ("name", "x" * 101), ("name", None), ("name", 7), ("name", ["Ada"]),
        ("name", "Ada\n"), ("name", "a\x00b"),
        ("email", "ada"), ("email", "@"), ("email", "a b@c"), ("email", "a@b@c"), ("email", "a@b\n"),
        ("email", "a\x00@b"), ("email", "x" * 250 + "@b.org"), ("email", True),
    ],
)  # fmt: skip
def test_a_wrong_field_is_422_and_named(client: Client, field: str, value: object) -> None:
    errors = problem(client.post("/users", json=ADA | {field: value}), 422)["errors"]
    assert [error["pointer"] for error in errors] == [f"#/{field}"]
    user = created(client, BOB)
    assert problem(client.patch(f"/users/{user['id']}", json={field: value}), 422)["errors"] == errors


def test_everything_that_is_wrong_is_said_at_once(client: Client) -> None:
    errors = problem(client.post("/users", json={"mail": 1, "\n": 2}), 422)["errors"]
    assert [error["detail"] for error in errors] == [
        "must be a text of 1 to 100 characters",
        "must be an address such as ada@example.org, of at most 254 characters",
        "a user has no '\\n'",
        "a user has no 'mail'",
    ]


def test_names_of_all_languages_are_welcome(client: Client) -> None:
    for number, name in enumerate(["José", "山田　太郎", "O'Brien; DROP TABLE users --", "😀", "میرزا‌خانی"]):
        assert created(client, {"name": name, "email": f"n{number}@example.org"})["name"] == name


def test_an_email_that_is_taken_is_409(client: Client) -> None:
    created(client, ADA)
    assert (
        problem(client.post("/users", json=ADA | {"name": "Eve"}), 409)["detail"]
        == "another user has this email"
    )
    bob = created(client, BOB)
    problem(client.patch(f"/users/{bob['id']}", json={"email": ADA["email"]}), 409)
    assert client.get(f"/users/{bob['id']}").json() == bob


def test_head_and_options_come_with_the_routes(client: Client) -> None:
    head = client.head("/users")
    assert (head.status, head.body) == (200, b"")
    assert "PATCH" in client.options("/users/1").headers["Allow"]


def test_users_are_still_there_after_a_restart(sqlite: Path, module: ModuleType) -> None:
    with Client(module.app) as client:
        user = created(client, ADA)
    with Client(module.app) as client:
        assert client.get("/users").json()["users"] == [user]


def test_a_file_that_stays_locked_is_503(
    sqlite: Path, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SQLITE_TIMEOUT_S", 0.05)
    with Client(module.app) as client:
        other = sqlite3.connect(sqlite, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        response = client.post("/users", json=ADA)
        assert problem(response, 503)["detail"] == "the database cannot answer now"
        assert response.headers["Retry-After"] == "1"
        assert client.get("/users").status == 200  # readers need not wait for writers
        other.close()
        created(client, ADA)


def test_a_file_that_cannot_be_opened_stops_the_start(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("SIMPLE_DB", str(tmp_path / "missing" / "users.db"))
    with pytest.raises(Exception, match=r"cannot use the SQLite file '.*missing/users.db'.*set SIMPLE_DB"):
        Client(module.app).__enter__()


def test_connections_that_were_cut_are_replaced_unseen(postgresql: str, module: ModuleType) -> None:
    import psycopg

    from_example = "FROM pg_stat_activity WHERE application_name = 'pierhead-simple'"
    with (
        Client(module.app) as client,
        psycopg.connect(postgresql, autocommit=True) as other,
        psycopg.connect(postgresql) as locker,
        ThreadPoolExecutor(4) as threads,
    ):
        locker.execute("LOCK TABLE simple.users")  # four must wait, so that the pool has four connections
        requests = [threads.submit(client.get, "/users") for _ in range(4)]
        deadline = time.monotonic() + 60
        while other.execute(f"SELECT {from_example} AND wait_event_type = 'Lock'").rowcount < 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        locker.rollback()
        assert [request.result().status for request in requests] == [200] * 4
        assert other.execute(f"SELECT pg_terminate_backend(pid, 5000) {from_example}").rowcount == 4
        assert [client.get("/users").status for _ in range(10)] == [200] * 10


def test_a_database_that_is_down_is_503(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    monkeypatch.setattr(module, "POOL_TIMEOUT_S", 0.2)
    with Client(module.app) as client:
        response = client.get("/users")
        problem(response, 503)
        assert response.headers["Retry-After"] == "1"
