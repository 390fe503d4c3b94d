"""The examples need no restart when their database has one, is away for a while, or comes up after them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pierhead import App
from pierhead.testing import Client
from tests.kit import eventually
from tests.postgres import Postgres

PATHS = ("/simple/users", "/database/products", "/hexagonal/products")


def events_after(client: Client, last_id: int, text: str) -> bool:
    """Tell whether a stream, once it is fed, brings a notification."""
    with client.stream("GET", "/sse/sse", headers={"Last-Event-ID": str(last_id)}) as stream:
        return any(text.encode() in piece for piece in stream)


def statuses(client: Client) -> list[int]:
    return [client.get(path).status for path in PATHS]


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that this test may stop."""
    server = Postgres()
    yield server
    server.close()


@pytest.mark.slow
def test_a_database_that_comes_back_is_used_again(
    stack_app: App, own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", own_postgres.url())
    with Client(stack_app) as client:
        assert statuses(client) == [200] * len(PATHS)

        own_postgres.stop()
        streams = ThreadPoolExecutor(1)
        following = streams.submit(events_after, client, 0, "after the restart")
        for path in PATHS:
            start = time.monotonic()
            response = client.get(path)
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert time.monotonic() - start < 15, "it does not wait for the database"
        own_postgres.start()
        eventually(lambda: statuses(client) == [200] * len(PATHS), "they answer again")
        assert client.post("/sse/notification", json={"text": "after the restart"}).status == 202
        assert following.result(60)
        streams.shutdown()

        own_postgres.stop()  # and once more, unseen: nobody asks while it is away
        own_postgres.start()
        assert statuses(client) == [200] * len(PATHS)


@pytest.mark.slow
def test_the_database_may_start_after_the_application(
    stack_app: App, own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_postgres.stop()
    monkeypatch.setenv("DATABASE_URL", own_postgres.url())
    with Client(stack_app) as client:
        assert client.get(PATHS[1]).status == 503
        own_postgres.start()
        eventually(lambda: statuses(client) == [200] * len(PATHS), "they answer")
