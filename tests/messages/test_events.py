"""Server-sent events: their form, and a stream of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pierhead import App, Request, Response, ServerSentEvent, event_stream
from pierhead.testing import Client

# One event


@pytest.mark.parametrize(
    ("event", "encoded"),
    [
        (ServerSentEvent("hello"), b"data: hello\n\n"),
        (ServerSentEvent(""), b"data: \n\n"),
        (ServerSentEvent("a\nb\r\nc\rd"), b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (ServerSentEvent("Grüße"), "data: Grüße\n\n".encode()),
        (ServerSentEvent("1", event="tick", id="7"), b"id: 7\nevent: tick\ndata: 1\n\n"),
        (ServerSentEvent(id="7"), b"id: 7\n\n"),
        (ServerSentEvent(retry_ms=500), b"retry: 500\n\n"),
        (ServerSentEvent(event="tick"), b""),  # without data there is no event
        (ServerSentEvent(), b""),
    ],
)
def test_an_event_as_it_is_sent(event: ServerSentEvent, encoded: bytes) -> None:
    assert event.encode() == encoded


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\n"])
def test_a_name_or_id_cannot_smuggle_a_field(text: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        ServerSentEvent("x", event=text)
    with pytest.raises(ValueError, match="line break"):
        ServerSentEvent("x", id=text)


def test_what_clients_ignore_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        ServerSentEvent("x", id="a\0")
    with pytest.raises(ValueError, match="retry_ms is 0 or more"):
        ServerSentEvent(retry_ms=-1)


# A stream of events


class Source:
    """Events that a test sends to one client; notes when it is closed."""

    def __init__(self, keep_alive_s: float = 15.0) -> None:
        self.queue: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue()
        self.sent = 0
        self.closed = False
        self.app = App("events")

        @self.app.get("/")
        async def stream(request: Request) -> Response:
            return event_stream(self.events(), retry_ms=100, keep_alive_s=keep_alive_s)

        @self.app.post("/")
        async def send(request: Request) -> Response:
            for line in (await request.text()).split(","):
                self.queue.put_nowait(ServerSentEvent(line) if line != "end" else None)
            return Response.empty()

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        try:
            while event := await self.queue.get():
                yield event
                self.sent += 1
        finally:
            self.closed = True


def test_events_arrive_one_by_one_until_the_end() -> None:
    source = Source()
    with Client(source.app) as client, client.stream("GET", "/") as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["Cache-Control"] == "no-cache, no-transform"
        pieces = iter(stream)
        assert next(pieces) == b"retry: 100\n\n"
        for text in ("one", "two"):
            client.post("/", content=text)
            assert next(pieces) == f"data: {text}\n\n".encode()
        client.post("/", content="end")
        assert list(pieces) == []
    assert source.closed


def test_an_event_of_nothing_is_not_sent() -> None:
    app = App()

    @app.get("/")
    async def stream(request: Request) -> Response:
        async def events() -> AsyncIterator[ServerSentEvent]:
            yield ServerSentEvent()
            yield ServerSentEvent("one")

        return event_stream(events(), retry_ms=None)

    with Client(app) as client:
        assert client.get("/").body == b": connected\n\ndata: one\n\n"


def test_silence_is_broken_by_comments() -> None:
    source = Source(keep_alive_s=0.02)
    with Client(source.app) as client, client.stream("GET", "/") as stream:
        pieces = iter(stream)
        next(pieces)
        assert [next(pieces) for _ in range(3)] == [b": keep-alive\n\n"] * 3
        client.post("/", content="one")  # the wait for it went on through the comments
        while (piece := next(pieces)) == b": keep-alive\n\n":
            pass
        assert piece == b"data: one\n\n"


def test_without_retry_the_first_piece_is_a_comment() -> None:
    app = App("none")

    @app.get("/")
    async def stream(request: Request) -> Response:
        async def none() -> AsyncIterator[ServerSentEvent]:
            nothing: list[ServerSentEvent] = []
            for event in nothing:
                yield event

        return event_stream(none(), headers={"Cache-Control": "no-store", "X-A": "b"})

    with Client(app) as client:
        response = client.get("/")
    assert response.body == b": connected\n\n"
    assert (response.headers["Cache-Control"], response.headers["X-A"]) == ("no-store", "b")


def test_the_source_is_closed_when_the_client_leaves() -> None:
    source = Source()
    with Client(source.app) as client, client.stream("GET", "/") as stream:
        next(iter(stream))
    assert source.closed


def test_a_server_that_stops_ends_the_stream_cleanly() -> None:
    source = Source()
    client = Client(source.app)
    client.post("/", content="one")
    with client.stream("GET", "/") as stream:
        pieces = iter(stream)
        assert [next(pieces), next(pieces)] == [b"retry: 100\n\n", b"data: one\n\n"]
        server = client._server
        assert server is not None
        client._call(server.drain(10))
        assert list(pieces) == []  # the end, not a broken connection
        assert source.closed
    client.close()


def test_a_slow_client_holds_its_source_up_and_nobody_else() -> None:
    source = Source()
    with Client(source.app) as client, client.stream("GET", "/") as slow:
        for _ in range(10):
            client.post("/", content="x" * 30_000)
        assert source.sent < 5  # 64 KiB of them wait in the connection
        pieces = iter(slow)
        assert next(pieces) == b"retry: 100\n\n"
        received = b"".join(next(pieces) for _ in range(10))
        assert received == b"data: %b\n\n" % (b"x" * 30_000) * 10


def test_a_source_that_fails_breaks_the_stream_off(caplog: pytest.LogCaptureFixture) -> None:
    app = App("broken")

    @app.get("/")
    async def stream(request: Request) -> Response:
        async def broken() -> AsyncIterator[ServerSentEvent]:
            yield ServerSentEvent("one")
            raise OSError("the source is gone")

        return event_stream(broken())

    with (
        Client(app) as client,
        client.stream("GET", "/") as response,
        pytest.raises(ConnectionError),
    ):
        list(response)
    assert "the source is gone" in caplog.text
