"""The composition: every example under its prefix, and the routes that show what a proxy does."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator

import psycopg
import pytest

from pierhead import App
from pierhead.testing import Client
from tests.examples.conftest import EXAMPLES


@pytest.fixture
def client(stack_app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of the composition without a database, which may come later."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    with Client(stack_app) as client:
        yield client


def test_the_index_lists_the_examples(client: Client) -> None:
    examples = {path.parent.name for path in EXAMPLES.glob("*/app.py")}
    assert client.get("/").json()["examples"] == {name: f"/{name}/" for name in examples}


def test_each_example_is_at_its_prefix(client: Client) -> None:
    assert client.get("/simple/").json() == {"example": "simple", "users": "/simple/users"}
    assert client.get("/database/").json() == {"example": "database", "products": "/database/products"}
    assert client.get("/hexagonal/").json()["login"] == "/hexagonal/login"
    assert "new WebSocket" in client.get("/websocket/").text
    assert "EventSource" in client.get("/sse/").text
    assert client.get("/etag/").json() == {"example": "etag", "users": "/etag/user"}


def test_examples_without_their_database_are_503_and_the_rest_works(client: Client) -> None:
    assert client.get("/simple/users").status == 503
    assert client.get("/database/products").status == 503
    assert client.get("/hexagonal/products").status == 503
    assert client.get("/etag/user/1").status == 503
    assert client.post("/sse/notification", json={"text": "a"}).status == 503
    assert client.get("/").status == 200


def test_links_of_mounted_examples_have_the_prefix(
    stack_app: App, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM simple.users")
    with Client(stack_app) as client:
        users = [
            client.post("/simple/users", json={"name": name, "email": f"{name}@example.org"}) for name in "ab"
        ]
        assert users[0].headers["Location"] == f"/simple/users/{users[0].json()['id']}"
        assert client.get(users[0].headers["Location"]).json() == users[0].json()
        page = client.get("/simple/users?limit=1").json()
        assert page["next"].startswith("/simple/users?limit=1&after=")
        assert client.get(page["next"]).json()["users"] == [users[1].json()]
        missing = client.delete("/database/products")
        assert missing.status == 405


def test_whoami_shows_the_request_without_credentials(client: Client) -> None:
    response = client.get(
        "/whoami?a=b", headers={"X-Test": "yes", "Cookie": "id=1", "Authorization": "Basic x"}
    )
    seen = response.json()
    assert seen["client"] == {"host": "127.0.0.1", "port": 50000}
    assert (seen["scheme"], seen["host"], seen["method"]) == ("http", "testserver", "GET")
    assert seen["target"] == "/whoami?a=b"
    assert seen["url"] == "http://testserver/whoami?a=b"
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert headers["x-test"] == "yes"
    assert headers["cookie"] == headers["authorization"] == "(hidden)"
    assert (seen["pid"], seen["hostname"]) == (os.getpid(), socket.gethostname())
    assert response.headers["Cache-Control"] == "no-store"


def test_events_come_one_by_one_and_end(client: Client) -> None:
    response = client.get("/ticks?count=3&interval=0.01")
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    first, *events = response.text.removesuffix("\n\n").split("\n\n")
    assert first == "retry: 1000"
    assert [event.splitlines()[:2] for event in events] == [[f"id: {n}", "event: tick"] for n in (1, 2, 3)]
    assert json.loads(events[0].splitlines()[2].removeprefix("data: "))["tick"] == 1


def test_the_first_event_does_not_wait_for_the_second(client: Client) -> None:
    start = time.monotonic()
    with client.stream("GET", "/ticks?count=2&interval=59") as stream:
        received = b""
        for piece in stream:
            received += piece
            if b"id: 1" in received:
                break
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    "query", ["count=0", "count=x", "count=1001", "interval=0", "interval=nan", "count=61&interval=1"]
)
def test_a_ticker_without_end_is_refused(client: Client, query: str) -> None:
    assert client.get(f"/ticks?{query}").status == 400


def test_the_websocket_sends_everything_back(client: Client) -> None:
    with client.websocket("/echo") as websocket:
        for message in ("text ✓", b"\x00\xff", "x" * 100_000):
            websocket.send(message)
            assert websocket.receive() == message


def test_an_upload_is_measured_as_it_comes(client: Client) -> None:
    body = b"pierhead" * 100_000
    answer = client.post("/upload", content=body).json()
    assert answer == {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    empty = client.post("/upload").json()
    assert empty == {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
