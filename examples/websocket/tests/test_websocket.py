"""What the example promises, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import psycopg
import pytest

from pierhead import WebSocketClosed
from pierhead.testing import Client, ClientResponse, ClientWebSocket, WebSocketRejected

FROM_EXAMPLE = "FROM pg_stat_activity WHERE application_name = 'pierhead-websocket'"


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def client(module: ModuleType, other: psycopg.Connection) -> Iterator[Client]:
    """A client of the example, which hears the others."""
    with Client(module.app) as client:
        eventually(lambda: module.app.state.rooms.listening)
        yield client


def heard(socket: ClientWebSocket) -> tuple[str, ...]:
    """Return the next of what is said, shortened: (name, text), or (name,) of who joins or leaves."""
    message: dict[str, Any] = json.loads(socket.receive())
    if message["kind"] == "said":
        return message["name"], message["text"]
    return message["name"], f"({message['kind']})"


@contextmanager
def member(client: Client, name: str, room: str = "harbour") -> Iterator[ClientWebSocket]:
    """Be in a room; who joins hears that first."""
    with client.websocket(f"/chat/{room}?name={name}") as socket:
        assert heard(socket) == (name, "(joined)")
        yield socket


def closed(socket: ClientWebSocket) -> tuple[int, str, int]:
    """Read to the end; return the code, the reason, and how many messages came before."""
    read = 0
    try:
        while True:
            socket.receive()
            read += 1
    except WebSocketClosed as end:
        return end.code, end.reason, read


def rejected(client: Client, target: str, headers: dict[str, str] | None = None) -> ClientResponse:
    """Return the response that takes the place of the handshake."""
    with pytest.raises(WebSocketRejected) as refused, client.websocket(target, headers=headers or {}):
        pass
    return refused.value.response


# Echo


@pytest.mark.parametrize("message", ["hello", "Grüße 😀", "", b"\x00\xff", "x" * 200_000])
def test_the_echo_sends_everything_back(client: Client, message: str | bytes) -> None:
    with client.websocket("/echo") as socket:
        socket.send(message)
        assert socket.receive() == message


def test_the_echo_takes_no_more_than_the_server(module: ModuleType, url: str) -> None:
    with (
        Client(module.app, max_websocket_message_bytes=1000) as client,
        client.websocket("/echo") as socket,
    ):
        socket.send("x" * 1001)
        assert closed(socket)[0] == 1009


# Rooms


def test_members_hear_what_is_said_in_one_order(client: Client) -> None:
    with member(client, "ada") as ada, member(client, "bob") as bob:
        assert heard(ada) == ("bob", "(joined)")
        ada.send("hello")
        bob.send("Grüße <b>😀</b> \"'\\")
        both = [[heard(socket), heard(socket)] for socket in (ada, bob)]
        assert both[0] == both[1]
        assert sorted(both[0]) == [("ada", "hello"), ("bob", "Grüße <b>😀</b> \"'\\")]
        bob.close()
        assert heard(ada) == ("bob", "(left)")


def test_rooms_do_not_hear_each_other(client: Client, module: ModuleType) -> None:
    with member(client, "ada", "pier-1") as ada, member(client, "bob", "pier-2") as bob:
        bob.send("only here")
        assert heard(bob) == ("bob", "only here")
        ada.send("nor here")
        assert heard(ada) == ("ada", "nor here")
    eventually(lambda: not module.app.state.rooms.members)  # and an empty room is forgotten


def test_the_longest_message_of_the_worst_characters_passes(client: Client) -> None:
    with member(client, "ada") as ada:
        for character in ("\x01", "😀", '"'):
            ada.send("a" + character * 999)
            assert heard(ada) == ("ada", "a" + character * 999)


def test_the_page_is_there(client: Client) -> None:
    response = client.get("/")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "new WebSocket" in response.text


# Who may enter


@pytest.mark.parametrize("target", ["/echo", "/chat/harbour?name=ada"])
@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "https://testserver", "http://testserver:8080", "http://testserver.evil.example",
        "null", "",
    ],
)  # fmt: skip
def test_pages_of_other_sites_are_403(client: Client, target: str, origin: str) -> None:
    assert rejected(client, target, {"Origin": origin}).status == 403


def test_our_own_pages_and_programs_may_enter(client: Client) -> None:
    for headers in ({"Origin": "http://testserver"}, {"Origin": "HTTP://TestServer"}, {}):
        with client.websocket("/echo", headers=headers) as socket:
            socket.send("hello")
            assert socket.receive() == "hello"


def test_behind_a_proxy_the_origin_is_that_of_the_proxy(client: Client) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "chat.example", "X-Forwarded-For": "::1"}
    with client.websocket("/echo", headers=forwarded | {"Origin": "https://chat.example"}) as socket:
        socket.send("hello")
        assert socket.receive() == "hello"
    assert rejected(client, "/echo", forwarded | {"Origin": "http://testserver"}).status == 403


def test_other_sites_may_be_allowed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://a.example,https://b.example")
    with client.websocket("/echo", headers={"Origin": "https://b.example"}) as socket:
        socket.send("hello")
        assert socket.receive() == "hello"
    assert rejected(client, "/echo", {"Origin": "https://c.example"}).status == 403


@pytest.mark.parametrize("query", ["", "?name=", "?name=%20", "?name=a%0Ab", f"?name={'x' * 41}"])
def test_who_has_no_name_is_400(client: Client, query: str) -> None:
    response = rejected(client, f"/chat/harbour{query}")
    assert (response.status, response.json()["parameter"]) == (400, "name")


@pytest.mark.parametrize("room", ["Harbour", "a_b", "x" * 41, ""])
def test_a_room_that_cannot_be_is_404(client: Client, room: str) -> None:
    assert rejected(client, f"/chat/{room}?name=ada").status == 404


# How it ends


@pytest.mark.parametrize(
    ("message", "code"), [(b"bytes", 1003), ("x" * 1001, 1009), (" ", 1008), ("a\x00b", 1008)]
)
def test_what_does_not_belong_in_a_room_ends_it_for_the_sender(
    client: Client, message: str | bytes, code: int
) -> None:
    with member(client, "ada") as ada, member(client, "bob") as bob:
        bob.send(message)
        assert closed(bob)[0] == code
        assert [heard(ada), heard(ada)] == [("bob", "(joined)"), ("bob", "(left)")]


def test_who_reads_too_slowly_is_sent_away_and_holds_nobody_up(client: Client, module: ModuleType) -> None:
    module.QUEUE_MAX = 5
    with member(client, "ada") as ada, member(client, "slow") as slow:
        heard(ada)
        number = 0
        while len(module.app.state.rooms.members["harbour"]) == 2:
            assert number < 1000
            ada.send(f"{number:03}" + "x" * 997)
            said = heard(ada)[1]
            assert said.startswith(f"{number:03}") or said == "(left)"
            number += 1
        code, reason, read = closed(slow)
        assert (code, reason) == (1013, "you read too slowly")
        assert 60 < read < number  # what the connection's buffer of 64 KiB took


def test_who_answers_no_ping_is_gone_for_the_others(module: ModuleType, url: str) -> None:
    """A client that reads nothing sends no pong."""
    settings = {"websocket_ping_interval_s": 1.0, "websocket_ping_timeout_s": 2.0}
    with Client(module.app, **settings) as client:
        eventually(lambda: module.app.state.rooms.listening)
        with member(client, "dead") as dead, member(client, "ada") as ada:
            assert heard(ada) == ("dead", "(left)")  # waiting for it, she answers her own pings
            assert closed(dead)[0] == 1006


@pytest.mark.parametrize(("going_away", "code"), [(True, 1001), (False, 1012)])
def test_a_server_that_leaves_says_so(module: ModuleType, url: str, going_away: bool, code: int) -> None:
    client = Client(module.app)
    client.get("/")
    eventually(lambda: module.app.state.rooms.listening)
    with member(client, "ada") as ada:
        server = client._server
        assert server is not None
        assert client._loop is not None
        drain = server.drain(20, going_away=going_away)
        draining = asyncio.run_coroutine_threadsafe(drain, client._loop)
        assert closed(ada)[0] == code
        assert draining.result(60) == 0  # nobody had to be cut off
    client.close()


def test_members_are_sent_away_while_the_others_cannot_be_heard(
    client: Client, module: ModuleType, other: psycopg.Connection
) -> None:
    module.RECONNECT_S = 4.0
    with member(client, "ada") as ada:
        cut = other.execute(f"SELECT pg_terminate_backend(pid, 5000) {FROM_EXAMPLE} AND query LIKE 'LISTEN%'")
        assert cut.rowcount == 1
        assert closed(ada)[:2] == (1013, "the other workers cannot be heard now")
    refused = rejected(client, "/chat/harbour?name=ada")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    eventually(lambda: module.app.state.rooms.listening)
    with member(client, "ada") as ada:
        ada.send("back")
        assert heard(ada) == ("ada", "back")


def test_without_a_database_there_is_the_echo_and_no_chat(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    monkeypatch.setattr(module, "POOL_TIMEOUT_S", 0.2)
    with Client(module.app) as client:
        assert rejected(client, "/chat/harbour?name=ada").status == 503
        with client.websocket("/echo") as socket:
            socket.send("hello")
            assert socket.receive() == "hello"


def test_without_database_url_it_does_not_start(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(Exception, match="needs PostgreSQL: set DATABASE_URL=postgresql://"):
        Client(module.app).__enter__()
