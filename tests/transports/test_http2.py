"""HTTP/2 through a whole connection in memory: streams beside each other, back-pressure, resets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, PingFrame

from pierhead import App, Request, Response
from pierhead.interfaces.adapt import adapt
from pierhead.transports import http2
from tests.transports.http2 import TIMEOUT_S, Stage, linked, make_app, turns


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
