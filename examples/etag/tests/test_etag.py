"""What the example promises, on a real PostgreSQL."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any

import psycopg
import pytest

from pierhead.testing import Client, ClientResponse

ADA = {"name": "Ada", "about": "Wrote the first program. " * 100}
LONG_AGO = "Sun, 06 Nov 1994 08:49:37 GMT"
FAR_AHEAD = "Sun, 06 Nov 2094 08:49:37 GMT"


@pytest.fixture
def user(client: Client) -> ClientResponse:
    """A user as GET shows her."""
    created = client.post("/user", json=ADA)
    assert created.status == 201, created.text
    shown = client.get(created.headers["Location"])
    assert shown.headers["ETag"] == created.headers["ETag"]
    return shown


def url(user: ClientResponse) -> str:
    return f"/user/{user.json()['id']}"


def problem(response: ClientResponse, status: int) -> dict[str, Any]:
    """Check that the response is problem details (RFC 9457); return them."""
    assert response.status == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    details: dict[str, Any] = response.json()
    return details


def not_modified(response: ClientResponse, user: ClientResponse) -> bool:
    """Tell whether the response is a 304 with the validators of `user`, or a whole 200."""
    if response.status == 200:
        assert response.body == user.body
        return False
    assert (response.status, response.body) == (304, b"")
    for name in ("ETag", "Last-Modified", "Cache-Control"):
        assert response.headers[name] == user.headers[name]
    return True


# Reading


def test_a_user_has_a_strong_tag_and_a_date(user: ClientResponse) -> None:
    assert user.json() == {"id": user.json()["id"], **ADA, "version": 1}
    tag = user.headers["ETag"]
    assert tag.startswith('"')
    assert len(tag) == 34
    age = time.time() - parsedate_to_datetime(user.headers["Last-Modified"]).timestamp()
    assert 0 <= age < 60
    assert user.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("condition", "same"),
    [
        ("{}", True),
        ("W/{}", True),  # the comparison is weak
        ("*", True),
        ('"other", {}', True),
        ('W/"other",W/{} , "third"', True),
        ('"other"', False),
        ("unquoted", False),
        ("", False),
    ],
)
def test_who_has_it_already_gets_304(
    client: Client, user: ClientResponse, method: str, condition: str, same: bool
) -> None:
    fields = {"If-None-Match": condition.replace("{}", user.headers["ETag"])}
    response = client.request(method, url(user), headers=fields)
    if method == "GET":
        assert not_modified(response, user) is same
    else:
        assert (response.status, response.body) == (304 if same else 200, b"")


@pytest.mark.parametrize("suffix", ["-gzip", "-br", "-zstd", "-deflate"])
def test_a_tag_that_a_proxy_rewrote_is_known(client: Client, user: ClientResponse, suffix: str) -> None:
    rewritten = user.headers["ETag"].removesuffix('"') + suffix + '"'
    assert not_modified(client.get(url(user), headers={"If-None-Match": f'"other", {rewritten}'}), user)
    assert client.put(url(user), json=ADA, headers={"If-Match": rewritten}).status == 204


def test_dates_are_compared_where_there_is_no_tag(client: Client, user: ClientResponse) -> None:
    modified = user.headers["Last-Modified"]
    assert not_modified(client.get(url(user), headers={"If-Modified-Since": modified}), user)
    assert not not_modified(client.get(url(user), headers={"If-Modified-Since": LONG_AGO}), user)
    both = {"If-None-Match": '"other"', "If-Modified-Since": modified}
    assert not not_modified(client.get(url(user), headers=both), user)


def test_a_get_may_ask_for_the_version_it_knows_only(client: Client, user: ClientResponse) -> None:
    assert client.get(url(user), headers={"If-Match": user.headers["ETag"]}).status == 200
    problem(client.get(url(user), headers={"If-Match": '"other"'}), 412)


def test_a_change_makes_another_tag_and_changing_it_back_does_too(
    client: Client, user: ClientResponse
) -> None:
    tags = [user.headers["ETag"]]
    for name in ("Eve", "Ada"):
        assert client.put(url(user), json=ADA | {"name": name}, headers={"If-Match": tags[-1]}).status == 204
        changed = client.get(url(user), headers={"If-None-Match": tags[-1]})
        assert (changed.status, changed.json()["name"]) == (200, name)
        tags.append(changed.headers["ETag"])
    assert len(set(tags)) == 3


# Writing


@pytest.mark.parametrize("condition", ["{}", "*", '"other", {}', "W/{}"])
def test_who_knows_the_version_may_change_it(client: Client, user: ClientResponse, condition: str) -> None:
    fields = {"If-Match": condition.replace("{}", user.headers["ETag"])}
    response = client.put(url(user), json={"name": "Eve"}, headers=fields)
    assert (response.status, response.body) == (204, b"")
    assert "ETag" not in response.headers
    assert client.get(url(user)).json() == {
        "id": user.json()["id"],
        "name": "Eve",
        "about": "",
        "version": 2,
    }


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    "fields",
    [
        {"If-Match": '"other"'},
        {"If-Match": 'W/"other", "third-gzip"'},
        {"If-Match": "unquoted"},
        {"If-Unmodified-Since": LONG_AGO},
        {"If-None-Match": "*"},
        {"If-Match": "*", "If-None-Match": "*"},
    ],
)
def test_who_does_not_gets_412_and_changes_nothing(
    client: Client, user: ClientResponse, method: str, fields: dict[str, str]
) -> None:
    body = {"json": {"name": "Eve"}} if method == "PUT" else {}
    response = client.request(method, url(user), headers=fields, **body)
    problem(response, 412)
    assert response.headers["ETag"] == user.headers["ETag"]
    assert client.get(url(user)).body == user.body


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("fields", [{}, {"If-Unmodified-Since": FAR_AHEAD}, {"If-None-Match": '"other"'}])
def test_who_does_not_say_the_version_gets_428(
    client: Client, user: ClientResponse, method: str, fields: dict[str, str]
) -> None:
    body = {"json": {"name": "Eve"}} if method == "PUT" else {}
    assert "If-Match" in problem(client.request(method, url(user), headers=fields, **body), 428)["detail"]
    assert client.get(url(user)).body == user.body


def test_of_many_who_change_the_same_version_one_succeeds(client: Client, user: ClientResponse) -> None:
    fields = {"If-Match": user.headers["ETag"]}

    def change(number: int) -> int:
        return client.put(url(user), json={"name": f"Writer {number}"}, headers=fields).status

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(change, range(8)))
    assert statuses == [204] + [412] * 7
    assert client.get(url(user)).json()["version"] == 2


def test_a_user_is_deleted_by_who_knows_the_version(client: Client, user: ClientResponse) -> None:
    assert client.delete(url(user), headers={"If-Match": user.headers["ETag"]}).status == 204
    problem(client.get(url(user), headers={"If-None-Match": "*"}), 404)
    problem(client.put(url(user), json=ADA, headers={"If-Match": user.headers["ETag"]}), 404)


# What goes wrong


@pytest.mark.parametrize(
    "body",
    [
        [], {}, {"name": " "}, {"name": "x" * 101}, {"name": "a\n"}, {"name": "a", "about": 1},
        {"name": "a", "about": "x" * 65537}, {"name": "a", "about": "\x00"}, {"name": "a", "more": 1},
    ],
)  # fmt: skip
def test_a_wrong_user_is_422(client: Client, user: ClientResponse, body: object) -> None:
    problem(client.post("/user", json=body), 422)
    problem(client.put(url(user), json=body, headers={"If-Match": "*"}), 422)


def test_what_get_shows_can_be_put_back(client: Client, user: ClientResponse) -> None:
    assert client.put(url(user), json=user.json(), headers={"If-Match": user.headers["ETag"]}).status == 204


def test_a_database_that_is_down_is_503(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    monkeypatch.setattr(module, "POOL_TIMEOUT_S", 0.2)
    with Client(module.app) as client:
        response = client.get("/user/1")
        problem(response, 503)
        assert response.headers["Retry-After"] == "1"


def test_without_database_url_it_does_not_start(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(Exception, match="needs PostgreSQL: set DATABASE_URL=postgresql://"):
        Client(module.app).__enter__()


def test_connections_that_were_cut_are_replaced_unseen(
    client: Client, user: ClientResponse, other: psycopg.Connection
) -> None:
    from_example = "FROM pg_stat_activity WHERE application_name = 'pierhead-etag'"
    assert other.execute(f"SELECT pg_terminate_backend(pid, 5000) {from_example}").rowcount > 0
    assert client.get(url(user)).status == 200
