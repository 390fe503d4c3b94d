"""HTTP/2 through a whole connection in memory: streams beside each other, deadlines, endings, attacks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, HeadersFrame, PingFrame, RstStreamFrame

from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.errors import ClientDisconnected, ConfigError
from pierhead.interfaces.adapt import adapt
from pierhead.interfaces.base import Application
from pierhead.interfaces.native import NativeApplication
from pierhead.transports import http2
from pierhead.transports.http2 import Http2Shell
from pierhead.transports.memory import MemoryTransport
from pierhead.transports.server import Server
from tests.http2peer import Peer, header_block

TIMEOUT_S = 20.0


class Stage:
    """What the application and the test tell each other."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        self.left: list[str] = []
        self.sent = 0
        self.greeted = 0


def make_app(stage: Stage) -> App:
    app = App()

    @app.get("/")
    async def hello(request: Request) -> Response:
        stage.greeted += 1
        return Response.text(
            f"{request.method} HTTP/{request.http_version} {request.scheme}://{request.host}"
        )

    @app.get("/wait")
    async def wait(request: Request) -> Response:
        stage.begun.set()
        await stage.go.wait()
        return Response.text("waited")

    @app.get("/leave")
    async def leave(request: Request) -> Response:
        stage.begun.set()
        assert request.channel is not None
        await request.channel.disconnect()
        stage.left.append("told")
        return Response.text("nobody reads this")

    @app.post("/")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.post("/first")
    async def first(request: Request) -> Response:
        async for piece in request.stream():
            return Response(piece[:5])
        return Response.text("nothing")

    @app.post("/ignore")
    async def ignore(request: Request) -> Response:
        return Response.text("did not look")

    @app.post("/slow")
    async def slow(request: Request) -> Response:
        await stage.go.wait()
        try:
            return Response(str(len(await request.body())).encode())
        except ClientDisconnected:
            stage.left.append("in the body")
            raise

    @app.post("/trailers")
    async def trailers(request: Request) -> Response:
        await request.body()
        return Response.json(dict(request.trailers.items()))

    @app.get("/big")
    async def big(request: Request) -> Response:
        return Response(b"x" * 300_000)

    @app.get("/pieces")
    async def pieces(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                for _ in range(1000):
                    stage.sent += 1
                    yield b"x" * 1000
            finally:
                stage.left.append("stream closed")

        return Response(body())

    @app.get("/events")
    async def events(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            stage.begun.set()
            await asyncio.Event().wait()

        return Response(body(), headers={"Content-Type": "text/event-stream"})

    @app.get("/broken")
    async def broken(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"begin"
            raise ValueError("no more")

        return Response(body())

    @app.get("/wrong")
    async def wrong(request: Request) -> Response:
        return Response(b"abc", headers={"Content-Length": "5"})

    return app


class Link:
    """A client, joined in memory with the server's end of a connection."""

    def __init__(self, server: Server, transport: MemoryTransport, peer: Peer) -> None:
        self.server = server
        self.transport = transport
        self.peer = peer

    @property
    def shell(self) -> Http2Shell:
        """The server's end."""
        (connection,) = self.server._connections
        assert isinstance(connection.upgraded, Http2Shell)
        return connection.upgraded

    def send(self) -> None:
        """Send what the client has to send."""
        if data := self.peer.out():
            self.transport.send(data)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Exchange bytes until a condition holds, or the server has closed."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                self.send()
                if condition():
                    return
                data = await self.transport.receive()
                assert data, "the server has closed"
                self.peer.receive(data)

    async def closed(self) -> None:
        """Exchange bytes until the server has closed."""
        async with asyncio.timeout(TIMEOUT_S):
            self.send()
            while data := await self.transport.receive():
                self.peer.receive(data)
                self.send()

    async def answer(self, stream_id: int) -> bytes:
        """Return the body of a complete answer."""
        answer = self.peer.answers[stream_id]
        await self.until(lambda: answer.ended)
        return answer.body

    def later(self, seconds: float) -> None:
        """Have so much time go by."""
        server = self.server
        server.now += seconds
        for connection in list(server._connections):
            connection.tick(server.now)


@contextlib.asynccontextmanager
async def linked(
    application: App | Application, *, window: int | None = None, **settings: Any
) -> AsyncIterator[Link]:
    chosen = NativeApplication(application) if isinstance(application, App) else application
    records: list[tuple[Any, ...]] = []
    server = Server(chosen, Settings(**settings), record=lambda *args: records.append(args))
    await server.start()
    assert server._sweep is not None
    server._sweep.cancel()  # the test says what time it is
    transport = MemoryTransport(server.connect())
    link = Link(server, transport, Peer(window=window))
    try:
        yield link
    finally:
        transport.disconnect()
        await server.drain(TIMEOUT_S)
        await server.close()


async def turns(condition: Callable[[], Any]) -> None:
    """Let the loop turn until a condition holds."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - there is no event for what the server does by itself
            await asyncio.sleep(0)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_request_is_answered(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        stream_id = link.peer.request()
        assert await link.answer(stream_id) == b"GET HTTP/2 http://test"
        answer = link.peer.answers[stream_id]
        names = [name for name, _ in answer.fields]
        assert names == [b":status", b"content-type", b"content-length", b"date", b"server"]


async def test_the_preface_may_come_in_pieces(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        stream_id = link.peer.request()
        for byte in link.peer.out():
            link.transport.send(bytes([byte]))
        assert await link.answer(stream_id) == b"GET HTTP/2 http://test"


async def test_streams_are_answered_as_they_are_ready(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        waiting, quick = link.peer.request("/wait"), link.peer.request("/")
        assert await link.answer(quick)
        assert [request.path for request in link.server.requests_in_progress(9)] == ["/wait"]
        stage.go.set()
        assert await link.answer(waiting) == b"waited"
        assert link.server.requests_in_progress(9) == []


async def test_bodies_both_ways(stage: Stage) -> None:
    sent = bytes(range(256)) * 3000
    async with linked(make_app(stage)) as link:
        stream_id = link.peer.request(method="POST", end=False)
        rest = sent
        while rest:
            room = min(link.peer.h2.local_flow_control_window(stream_id), 16384)
            if room:
                link.peer.data(stream_id, rest[:room])
                rest = rest[room:]
            else:
                await link.until(lambda: link.peer.h2.local_flow_control_window(stream_id))
        link.peer.h2.end_stream(stream_id)
        assert await link.answer(stream_id) == sent


async def test_trailers_reach_the_application(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        stream_id = link.peer.request("/trailers", method="POST", body=b"abc", end=False)
        link.peer.h2.send_headers(stream_id, [(b"x-sum", b"6")], end_stream=True)
        assert await link.answer(stream_id) == b'{"x-sum":"6"}'


async def test_a_slow_reader_of_one_body_does_not_hold_up_others(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        slow = link.peer.request("/slow", method="POST", body=b"a" * 65535, end=False)
        link.send()
        for _ in range(20):  # more than the connection's first window
            await link.until(lambda: link.peer.h2.outbound_flow_control_window >= 16384)
            quick = link.peer.request("/", method="POST", body=b"b" * 16384)
            assert await link.answer(quick) == b"b" * 16384
        assert link.peer.h2.local_flow_control_window(slow) == 0  # as long as nobody reads it
        stage.go.set()
        await link.until(lambda: link.peer.h2.local_flow_control_window(slow))
        link.peer.data(slow, b"c", end=True)
        assert await link.answer(slow) == b"65536"


async def test_a_client_without_room_makes_the_application_wait(stage: Stage) -> None:
    async with linked(make_app(stage), window=50_000) as link:
        stream_id = link.peer.request("/pieces")
        await link.until(lambda: len(link.peer.answers[stream_id].body) == 50_000)
        quick = link.peer.request("/")
        assert await link.answer(quick)
        assert 50 < stage.sent < 200
        link.peer.h2.increment_flow_control_window(2_000_000)
        link.peer.h2.increment_flow_control_window(2_000_000, stream_id)
        assert len(await link.answer(stream_id)) == 1_000_000
        assert stage.left == ["stream closed"]


async def test_a_transport_without_room_makes_all_wait(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        link.peer.h2.increment_flow_control_window(1 << 24)
        ids = [link.peer.request("/big") for _ in range(4)]
        for stream_id in ids:
            link.peer.h2.increment_flow_control_window(1 << 24, stream_id)
        link.send()
        assert link.transport.get_write_buffer_size() < 300_000
        for stream_id in ids:
            assert len(await link.answer(stream_id)) == 300_000


async def test_who_reads_nothing_is_not_read_from(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "_MOST_UNREAD_BYTES", 66_000)
    async with linked(make_app(stage)) as link:
        link.send()
        pings = PingFrame(0, b"01234567").serialize() * 500
        for _ in range(10):
            for _ in range(4):
                link.shell.codec.guard.tick()
            link.transport.send(pings)
        assert not link.transport.is_reading()
        assert link.transport.get_write_buffer_size() < 80_000
        link.peer.receive(await link.transport.receive())
        assert link.transport.is_reading()


async def test_a_request_that_waits_for_100(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        stream_id = link.peer.request("/", ("expect", "100-continue"), method="POST", end=False)
        await link.until(lambda: link.peer.answers[stream_id].interim)
        link.peer.data(stream_id, b"here", end=True)
        assert await link.answer(stream_id) == b"here"
        unread = link.peer.request("/ignore", ("expect", "100-continue"), method="POST", end=False)
        assert await link.answer(unread) == b"did not look"
        assert link.peer.answers[unread].interim == []


async def test_early_hints() -> None:
    app = App()

    @app.get("/")
    async def hello(request: Request) -> Response:
        assert request.channel is not None
        request.channel.hint([(b"Link", b"</style.css>; rel=preload")])
        return Response.text("hello")

    async with linked(app) as link:
        stream_id = link.peer.request()
        await link.answer(stream_id)
        (hints,) = link.peer.answers[stream_id].interim
        assert hints == [(b":status", b"103"), (b"link", b"</style.css>; rel=preload")]


async def test_an_answer_before_the_end_of_the_request(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        stream_id = link.peer.request("/first", method="POST", body=b"abcdefg", end=False)
        assert await link.answer(stream_id) == b"abcde"
        assert link.peer.answers[stream_id].reset == ErrorCodes.NO_ERROR
        link.peer.raw(DataFrame(stream_id, b"on its way"))
        assert await link.answer(link.peer.request())


async def test_a_client_resets_a_stream_and_its_handler_is_told(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        left, other = link.peer.request("/leave"), link.peer.request("/wait")
        link.send()
        async with asyncio.timeout(TIMEOUT_S):
            await stage.begun.wait()
        link.peer.h2.reset_stream(left, ErrorCodes.CANCEL)
        link.send()
        stage.go.set()
        assert await link.answer(other) == b"waited"
        assert stage.left == ["told"]
        assert link.peer.answers[left].status == 0


async def test_a_reset_ends_a_stream_and_a_body(stage: Stage) -> None:
    async with linked(make_app(stage), window=50_000) as link:
        streaming = link.peer.request("/pieces")
        uploading = link.peer.request("/slow", method="POST", body=b"a", end=False)
        await link.until(lambda: len(link.peer.answers[streaming].body) == 50_000)
        stage.go.set()
        link.peer.h2.reset_stream(streaming)
        link.peer.h2.reset_stream(uploading)
        assert await link.answer(link.peer.request())
        await turns(lambda: len(stage.left) == 2)
        assert set(stage.left) == {"stream closed", "in the body"}
        await turns(lambda: not link.shell.streams)


async def test_a_client_that_vanishes(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        link.peer.request("/leave")
        link.peer.request("/slow", method="POST", body=b"a", end=False)
        link.send()
        await turns(stage.begun.is_set)
        link.transport.disconnect()
        stage.go.set()
        await turns(lambda: len(stage.left) == 2)
        assert set(stage.left) == {"told", "in the body"}


async def test_a_response_that_breaks_off_is_reset(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with linked(make_app(stage)) as link:
        stream_id = link.peer.request("/broken")
        await link.until(lambda: link.peer.answers[stream_id].reset is not None)
        assert link.peer.answers[stream_id].reset == ErrorCodes.INTERNAL_ERROR
        wrong = link.peer.request("/wrong")
        await link.answer(wrong)
        assert link.peer.answers[wrong].status == 500
    assert "no more" in caplog.text
    assert "response cannot be sent" in caplog.text


async def test_what_is_refused_costs_its_stream_only(stage: Stage) -> None:
    async with linked(make_app(stage), max_body_bytes=10) as link:
        waiting = link.peer.request("/wait")
        bad = link.peer.section([(":method", "GET"), (":scheme", "http"), (":path", "/")])
        long = link.peer.request("/", ("content-length", "11"), method="POST", end=False)
        longer = link.peer.request("/", method="POST", body=b"x" * 11)
        await link.until(lambda: link.peer.answers[bad].reset is not None)
        await link.answer(long)
        await link.answer(longer)
        answers = link.peer.answers
        assert [answers[which].status for which in (bad, long, longer)] == [400, 413, 413]
        assert b"Host" in answers[bad].body
        stage.go.set()
        assert await link.answer(waiting) == b"waited"


async def test_handlers_of_streams_that_were_reset_count(stage: Stage) -> None:
    async with linked(make_app(stage), max_http2_streams=2) as link:
        for _ in range(2):
            stream_id = link.peer.request("/wait")
            await link.until(lambda: True)
            link.peer.h2.reset_stream(stream_id)
        third = link.peer.request("/")
        await link.until(lambda: link.peer.answers[third].reset is not None)
        assert link.peer.answers[third].reset == ErrorCodes.REFUSED_STREAM
        stage.go.set()
        await turns(lambda: not link.shell.streams)
        assert await link.answer(link.peer.request())


async def test_who_leaves_too_much_unread_is_refused_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2, "_MOST_QUEUED_BYTES", 500_000)
    async with linked(make_app(stage), window=0) as link:
        ids = [link.peer.request("/big") for _ in range(2)]
        await link.until(lambda: all(link.peer.answers[stream_id].status for stream_id in ids))
        refused = link.peer.request("/")
        await link.until(lambda: link.peer.answers[refused].reset is not None)
        assert link.peer.answers[refused].reset == ErrorCodes.REFUSED_STREAM


async def test_what_asgi_and_wsgi_applications_see() -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            body = repr((scope["http_version"], scope["method"], scope["path"], scope["headers"])).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Kind", b"asgi")]})
            await send({"type": "http.response.body", "body": body})

    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{environ['SERVER_PROTOCOL']} {environ['HTTP_HOST']}".encode()]

    async with linked(adapt(asgi)) as link:
        seen = await link.answer(link.peer.request("/a"))
        assert seen == repr(("2", "GET", "/a", [(b"host", b"test")])).encode()
        assert link.peer.answers[1].field(b"x-kind") == b"asgi"
    async with linked(adapt(wsgi)) as link:
        assert await link.answer(link.peer.request("/a")) == b"HTTP/2.0 test"


async def test_the_log_has_the_version(stage: Stage) -> None:
    seen: list[Request | None] = []
    async with linked(make_app(stage)) as link:
        link.server.record = lambda request, *_: seen.append(request)
        await link.answer(link.peer.request())
    (request,) = seen
    assert request is not None
    assert request.http_version == "2"


# Deadlines


async def test_a_handler_that_takes_too_long(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with linked(make_app(stage), handler_timeout_s=5) as link:
        stream_id = link.peer.request("/wait")
        link.send()
        async with asyncio.timeout(TIMEOUT_S):
            await stage.begun.wait()
        link.later(4)
        link.later(2)
        await link.answer(stream_id)
        assert link.peer.answers[stream_id].status == 504
    assert "took longer than handler_timeout_s=5" in caplog.text


async def test_an_upload_is_no_slow_handler(stage: Stage) -> None:
    async with linked(make_app(stage), handler_timeout_s=5) as link:
        stream_id = link.peer.request("/", method="POST", end=False)
        for _ in range(4):
            link.peer.data(stream_id, b"a")
            link.send()
            link.later(4)
        link.peer.data(stream_id, b"b", end=True)
        assert await link.answer(stream_id) == b"aaaab"


async def test_a_body_that_stops_coming(stage: Stage) -> None:
    async with linked(make_app(stage), handler_timeout_s=0) as link:
        stream_id = link.peer.request("/", method="POST", body=b"a", end=False)
        link.send()
        await asyncio.sleep(0)
        link.later(61)
        await link.answer(stream_id)
        assert link.peer.answers[stream_id].status == 408


async def test_a_client_that_takes_nothing_loses_the_stream(stage: Stage) -> None:
    async with linked(make_app(stage), window=10_000, write_timeout_s=60) as link:
        whole, pieces = link.peer.request("/big"), link.peer.request("/pieces")
        await link.until(lambda: len(link.peer.answers[pieces].body) == 10_000)
        link.later(1)
        link.later(50)
        link.peer.h2.increment_flow_control_window(1, whole)  # byte by byte is not enough
        link.peer.h2.increment_flow_control_window(20_000, pieces)
        await link.until(lambda: len(link.peer.answers[pieces].body) == 30_000)
        link.later(11)
        await link.until(lambda: link.peer.answers[whole].reset is not None)
        assert link.peer.answers[whole].reset == ErrorCodes.CANCEL
        link.later(61)
        await link.until(lambda: link.peer.answers[pieces].reset is not None)
        await turns(lambda: stage.left)
        assert stage.left == ["stream closed"]


async def test_an_idle_connection_ends(stage: Stage) -> None:
    async with linked(make_app(stage), keep_alive_timeout_s=75) as link:
        await link.answer(link.peer.request())
        link.later(74)
        await link.answer(link.peer.request())
        link.later(74)
        link.later(2)
        await link.closed()
        (goaway,) = link.peer.goaways
        assert (goaway.last_stream_id, goaway.error_code) == (3, 0)


async def test_what_has_begun_is_completed_in_time(stage: Stage) -> None:
    async with linked(make_app(stage), head_timeout_s=10) as link:
        waiting = link.peer.request("/wait")
        link.peer.raw(HeadersFrame(3, header_block(link.peer)))
        link.send()
        link.later(9)
        assert link.shell.streams
        link.later(2)
        await link.closed()
        assert link.peer.goaways
        assert not link.peer.answers[waiting].ended
        stage.go.set()


async def test_a_preface_without_settings(stage: Stage) -> None:
    async with linked(make_app(stage), head_timeout_s=10) as link:
        link.transport.send(b"PRI * HTTP/2.0\r\n\r\n")
        link.later(11)
        await link.closed()


async def test_a_long_upload_is_no_head_that_never_ends(stage: Stage) -> None:
    async with linked(make_app(stage), head_timeout_s=10, handler_timeout_s=0) as link:
        stream_id = link.peer.request("/", method="POST", end=False)
        link.send()
        for _ in range(5):
            frame = DataFrame(stream_id, b"x" * 100).serialize()
            link.transport.send(frame[:50])
            link.later(9)
            link.transport.send(frame[50:])
        link.peer.raw(DataFrame(stream_id, b"", flags=["END_STREAM"]))
        assert await link.answer(stream_id) == b"x" * 500


# Endings


async def test_draining_finishes_what_is_in_progress(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        waiting = link.peer.request("/wait")
        await link.answer(link.peer.request())
        draining = asyncio.create_task(link.server.drain(TIMEOUT_S))
        announced = await link.transport.receive()
        late = link.peer.request("/")
        link.send()  # before it has heard of it
        link.peer.receive(announced)
        assert link.peer.goaways[0].last_stream_id == 2**31 - 1
        assert await link.answer(late)
        await link.until(lambda: len(link.peer.goaways) == 2)
        assert link.peer.goaways[1].last_stream_id == late
        refused = link.peer.request("/")
        await link.until(lambda: link.peer.answers[refused].reset is not None)
        assert link.peer.answers[refused].reset == ErrorCodes.REFUSED_STREAM
        stage.go.set()
        assert await link.answer(waiting) == b"waited"
        await link.closed()
        link.transport.send_eof()
        assert await draining == 0


async def test_draining_an_idle_connection(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        await link.answer(link.peer.request())
        draining = asyncio.create_task(link.server.drain(TIMEOUT_S))
        await link.closed()
        link.transport.send_eof()
        assert await draining == 0
        assert [goaway.last_stream_id for goaway in link.peer.goaways] == [2**31 - 1, 1]


async def test_draining_who_does_not_answer(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        await link.answer(link.peer.request())
        draining = asyncio.create_task(link.server.drain(TIMEOUT_S))
        await turns(lambda: link.transport.get_write_buffer_size())
        link.later(3)
        await turns(lambda: link.transport._server_eof)
        link.transport.send_eof()
        assert await draining == 0


async def test_draining_ends_event_streams(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        stream_id = link.peer.request("/events")
        await link.until(lambda: link.peer.answers[stream_id].body)
        draining = asyncio.create_task(link.server.drain(TIMEOUT_S))
        assert await link.answer(stream_id) == b"data: 1\n\n"
        await link.closed()
        link.transport.send_eof()
        assert await draining == 0


async def test_an_attack_is_logged_and_ends_the_connection(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with linked(make_app(stage)) as link:
        waiting = link.peer.request("/wait")
        link.send()
        link.peer.raw(*[PingFrame(0, b"01234567")] * 1100)
        await link.closed()
        assert link.peer.goaways[0].error_code == ErrorCodes.ENHANCE_YOUR_CALM
        assert not link.peer.answers[waiting].ended
        link.transport.send(b"more")
        stage.go.set()
    (record,) = [record for record in caplog.records if record.name == "pierhead.http2"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "closed an HTTP/2 connection from 127.0.0.1: ENHANCE_YOUR_CALM: too many frames that bring nothing, "
        "the last of them PING"
    )


async def test_rapid_resets_start_no_handlers(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        link.send()
        block = header_block(link.peer)
        again = header_block(link.peer)
        for number in range(1, 1001, 2):
            head = HeadersFrame(number, block if number == 1 else again, flags=["END_HEADERS", "END_STREAM"])
            link.peer.raw(head, RstStreamFrame(number))
        await link.closed()
        assert link.peer.goaways[0].error_code == ErrorCodes.ENHANCE_YOUR_CALM
        await turns(lambda: not link.server.in_progress)
        assert stage.greeted == 0


async def test_http2_may_be_turned_off(stage: Stage) -> None:
    async with linked(make_app(stage), http2="off") as link:
        link.send()
        assert (await link.transport.receive()).startswith(b"HTTP/1.1 505 ")


async def test_http2_needs_its_library(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    async with linked(make_app(stage)) as link:
        link.send()
        assert (await link.transport.receive()).startswith(b"HTTP/1.1 505 ")
    with pytest.raises(ConfigError, match=r"pip install 'pierhead\[http2\]'"):
        Server(NativeApplication(make_app(stage)), Settings(http2="on"))


async def test_http2_is_asked_for_by_nothing_but_its_preface(stage: Stage) -> None:
    async with linked(make_app(stage)) as link:
        link.transport.send(
            b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        assert (await link.transport.receive()).startswith(b"HTTP/1.1 200 OK\r\n")
