"""What the example promises, on a real PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import psycopg
import pytest

from pierhead.testing import Client, ClientStream

FROM_EXAMPLE = "FROM pg_stat_activity WHERE application_name = 'pierhead-sse'"


class Event(NamedTuple):
    """An event as a client gets it; without data it is fields or a comment alone."""

    id: str = ""
    kind: str = ""
    data: Any = None
    comment: bool = False


class Events:
    """The events of one stream, parsed from however many bytes came together."""

    def __init__(self, stream: ClientStream) -> None:
        self.pieces = iter(stream)
        self.buffer = ""

    def block(self) -> str:
        """Return the text up to the next empty line; raises StopIteration at the end of the stream."""
        while "\n\n" not in self.buffer:
            self.buffer += next(self.pieces).decode()
        block, _, self.buffer = self.buffer.partition("\n\n")
        return block

    def next(self) -> Event:
        """Return the next event."""
        block = self.block()
        if block.startswith(":"):
            return Event(comment=True)
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        data = json.loads(fields["data"]) if "data" in fields else None
        return Event(fields.get("id", ""), fields.get("event", ""), data)

    def text(self) -> str:
        """Return the text of the next notification."""
        event = self.next()
        assert event.kind == "", event
        return str(event.data["text"])


@contextmanager
def following(client: Client, last_id: str | None = None, target: str = "/sse") -> Iterator[Events]:
    """Open a stream and read its `retry:`."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    with client.stream("GET", target, headers=headers) as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        events = Events(stream)
        assert events.block() == "retry: 1000"
        yield events


def send(client: Client, *texts: str) -> list[str]:
    """Send notifications; return their ids."""
    responses = [client.post("/notification", json={"text": text}) for text in texts]
    assert [response.status for response in responses] == [202] * len(texts)
    return [str(response.json()["id"]) for response in responses]


def eventually(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Sending and following


def test_everybody_gets_what_anybody_sends(client: Client) -> None:
    with following(client) as one, following(client) as two:
        assert one.next().data is two.next().data is None  # an id to come back with, and no event
        ids = send(client, "hello", "Grüße\n😀 <b>")
        for events in (one, two):
            first = events.next()
            assert (first.id, first.kind, first.data["text"]) == (ids[0], "", "hello")
            assert events.text() == "Grüße\n😀 <b>"


def test_the_page_is_there(client: Client) -> None:
    response = client.get("/")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "new EventSource" in response.text


@pytest.mark.parametrize(
    "body", [[], {}, {"text": ""}, {"text": " \n"}, {"text": 1}, {"text": "x" * 1001}, {"text": "a\x00"}]
)
def test_a_wrong_notification_is_422(client: Client, body: object) -> None:
    response = client.post("/notification", json=body)
    assert response.status == 422
    assert response.json()["errors"][0]["pointer"] == "#/text"


def test_a_form_is_415(client: Client) -> None:
    assert client.post("/notification", data={"text": "a"}).status == 415  # other sites' pages can send forms


def test_silence_is_broken_by_comments(client: Client, module: ModuleType) -> None:
    module.KEEP_ALIVE_S = 0.02
    with following(client) as events:
        eventually(lambda: not events.next().comment)  # the beginning, once the table was read
        assert [events.next().comment for _ in range(3)] == [True] * 3


# Coming back


@pytest.mark.parametrize("way", ["header", "query"])
def test_who_comes_back_gets_what_was_sent_meanwhile(client: Client, way: str) -> None:
    ids = send(client, "one", "two", "three")
    header, target = (ids[0], "/sse") if way == "header" else (None, f"/sse?last_event_id={ids[0]}")
    with following(client, header, target) as events:
        assert [events.text(), events.text()] == ["two", "three"]
        send(client, "four")
        assert events.text() == "four"


def test_who_saw_no_event_comes_back_with_the_id_of_the_beginning(client: Client, module: ModuleType) -> None:
    (before,) = send(client, "before")
    eventually(lambda: module.app.state.feed.last == int(before))
    with following(client) as events:
        beginning = events.next()
        assert beginning.data is None
    send(client, "meanwhile")
    with following(client, beginning.id) as events:
        assert events.text() == "meanwhile"


def test_the_table_and_the_feed_are_bounded_and_who_was_away_too_long_is_told(
    client: Client, module: ModuleType, other: psycopg.Connection
) -> None:
    module.KEPT = 3
    ids = send(client, *"abcdef")
    row = other.execute("SELECT count(*) FROM sse.notifications").fetchone()
    assert row == (3,)
    eventually(lambda: module.app.state.feed.last == int(ids[-1]))
    with following(client, ids[1]) as events:  # c is gone
        told = events.next()
        assert (told.kind, told.id) == ("missed", ids[2])
        assert [events.text() for _ in range(3)] == ["d", "e", "f"]
    with following(client, ids[2]) as events:  # nothing is missed
        assert events.text() == "d"


def test_a_worker_that_starts_later_has_the_same_feed(module: ModuleType, other: psycopg.Connection) -> None:
    module.KEPT = 3
    with Client(module.app) as client:
        ids = send(client, *"abcde")
    with Client(module.app) as client:
        with following(client, ids[2]) as events:
            assert [events.text(), events.text()] == ["d", "e"]
        with following(client, ids[0]) as events:
            assert events.next().kind == "missed"
            assert events.text() == "c"


@pytest.mark.parametrize("last_id", ["nonsense", "-1", "999999999999", "1" * 30])
def test_an_id_that_never_was_has_missed_what_is_kept(client: Client, last_id: str) -> None:
    send(client, "one")
    with following(client, last_id) as events:
        assert events.next().kind == "missed"
        assert events.text() == "one"


def test_a_client_that_is_ahead_of_this_worker_waits_for_it(client: Client, module: ModuleType) -> None:
    """It has seen an event from another worker, whose listener was quicker."""
    (seen,) = send(client, "seen")
    feed = module.app.state.feed
    eventually(lambda: feed.last == int(seen))
    feed.events.clear()  # this worker has not heard of it yet
    with following(client, seen) as events:
        send(client, "next")
        assert events.text() == "next"


# Slow clients


def test_a_slow_client_costs_no_queue_and_is_told_what_it_missed(client: Client, module: ModuleType) -> None:
    module.KEPT = 5
    feed = module.app.state.feed
    with following(client) as quick, following(client) as slow:
        quick.next()
        for number in range(150):  # 1000 characters each: more than the connection's buffer of 64 KiB takes
            (sent,) = send(client, f"{number:03}" + "x" * 997)
            assert quick.next().id == sent  # nobody waits for the slow one
            assert len(feed.events) <= 5
        slow.next()
        received = []
        while (event := slow.next()).kind != "missed":
            received.append(event.data["text"][:3])
        assert received == [f"{number:03}" for number in range(len(received))]
        assert 60 < len(received) < 100
        assert [slow.text()[:3] for _ in range(5)] == ["145", "146", "147", "148", "149"]


# The database


def test_the_listener_comes_back_and_makes_good_what_it_missed(
    client: Client, other: psycopg.Connection
) -> None:
    with following(client) as events:
        events.next()
        send(client, "before")
        assert events.text() == "before"
        cut = other.execute(f"SELECT pg_terminate_backend(pid, 5000) {FROM_EXAMPLE}")
        assert cut.rowcount >= 2
        other.execute("INSERT INTO sse.notifications (text) VALUES ('while nobody listened')")
        assert events.text() == "while nobody listened"
        send(client, "after")
        assert events.text() == "after"


def test_a_notify_that_got_lost_is_made_good(module: ModuleType, other: psycopg.Connection) -> None:
    module.CHECK_S = 0.05
    with Client(module.app) as client, following(client) as events:
        events.next()
        other.execute("INSERT INTO sse.notifications (text) VALUES ('without notify')")
        assert events.text() == "without notify"


def test_one_connection_listens_and_it_is_none_of_the_pool(client: Client, other: psycopg.Connection) -> None:
    with following(client) as one, following(client) as two:
        one.next()
        two.next()
        count = f"SELECT count(*) {FROM_EXAMPLE}"
        eventually(lambda: other.execute(count).fetchone() == (2,))  # it, and the first of the pool


def test_without_a_database_streams_wait_and_notifications_are_503(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    monkeypatch.setattr(module, "POOL_TIMEOUT_S", 0.2)
    module.KEEP_ALIVE_S = 0.02
    with Client(module.app) as client, following(client) as events:
        assert events.next().comment  # and not an error, which would have an EventSource give up
        response = client.post("/notification", json={"text": "a"})
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert events.next().comment


def test_without_database_url_it_does_not_start(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(Exception, match="needs PostgreSQL: set DATABASE_URL=postgresql://"):
        Client(module.app).__enter__()
