"""HTTP/2 through a whole connection in memory: deadlines, draining, attacks, and where it is not spoken."""

from __future__ import annotations

import asyncio
import logging

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, HeadersFrame, PingFrame, RstStreamFrame

from pierhead.config import Settings
from pierhead.errors import ConfigError
from pierhead.interfaces.native import NativeApplication
from pierhead.transports.server import Server
from tests.http2peer import header_block
from tests.transports.http2 import TIMEOUT_S, Stage, linked, make_app, turns


@pytest.fixture
def stage() -> Stage:
    return Stage()


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
