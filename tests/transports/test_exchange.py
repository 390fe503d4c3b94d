"""Requests and responses through a whole connection in memory: order, framing, failures, endings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from pierhead import App, Request, Response, WebSocket
from pierhead.testing import Client, WebSocketRejected, handle_raw
from pierhead.transports import connection

CLOSE = b"Connection: close\r\n"


def get(target: str = "/", *fields: bytes, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1".encode(), b"Host: test", *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def post(body: bytes, target: str = "/", *fields: bytes) -> bytes:
    return get(target, b"Content-Length: %d" % len(body), *fields, method="POST") + body


def bodies(answer: bytes) -> list[bytes]:
    """Split a run of responses with Content-Length into their bodies."""
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append(rest[:length])
        answer = rest[length:]
    return found


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    async def hello(request: Request) -> Response:
        return Response.text("hello")

    @app.get("/wait/{name}")
    async def wait(request: Request, name: str) -> Response:
        await asyncio.sleep(0)
        return Response.text(name)

    @app.post("/")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.post("/ignore")
    async def ignore(request: Request) -> Response:
        return Response.text("did not look")

    @app.post("/trailers")
    async def trailers(request: Request) -> Response:
        await request.body()
        return Response.json(dict(request.trailers.items()))

    @app.get("/blocking")
    def blocking(request: Request) -> Response:
        return Response.text("from a thread")

    return app


def test_a_response_has_length_date_and_server(app: App) -> None:
    answer = handle_raw(app, get())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 5\r\n" in head
    assert b"\r\nDate: " in head
    assert b"\r\nServer: pierhead" in head
    assert body == b"hello"


def test_pipelined_requests_are_answered_in_order(app: App) -> None:
    pipeline = get("/wait/a") + get("/wait/b") + get() + post(b"c") + get("/blocking") + get("/wait/d")
    assert bodies(handle_raw(app, pipeline)) == [b"a", b"b", b"hello", b"c", b"from a thread", b"d"]


def test_a_long_pipeline_does_not_recurse(app: App) -> None:
    assert bodies(handle_raw(app, get() * 3000)) == [b"hello"] * 3000


def test_head_has_the_head_of_get(app: App) -> None:
    answer = handle_raw(app, get(method="HEAD"))
    assert b"Content-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_http_1_0_is_closed_unless_it_asks(app: App) -> None:
    assert CLOSE in handle_raw(app, b"GET / HTTP/1.0\r\n\r\n")
    twice = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2
    assert bodies(handle_raw(app, twice)) == [b"hello", b"hello"]


def test_after_connection_close_nothing_more_is_answered(app: App) -> None:
    assert bodies(handle_raw(app, get("/", b"Connection: close") + get())) == [b"hello"]


def test_chunked_body_and_trailers_are_read(app: App) -> None:
    head = get("/trailers", b"Transfer-Encoding: chunked", method="POST")
    answer = handle_raw(app, head + b"3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n")
    assert bodies(answer) == [b'{"X-Sum":"3"}']


def test_a_small_body_nobody_reads_keeps_the_connection(app: App) -> None:
    assert bodies(handle_raw(app, post(b"x" * 1000, "/ignore") + get())) == [b"did not look", b"hello"]


def test_a_long_body_nobody_reads_ends_the_connection(app: App) -> None:
    head = get("/ignore", b"Content-Length: 1000000", method="POST")
    answer = handle_raw(app, head + b"x" * 1000)
    assert CLOSE in answer
    assert bodies(answer) == [b"did not look"]


def test_100_continue_is_sent_when_the_body_is_asked_for(app: App) -> None:
    expecting = b"Expect: 100-continue"
    assert handle_raw(app, post(b"abc", "/", expecting)).endswith(b"abc")
    with Client(app) as client:
        transport = client._call(client._connect())
        client._do(transport.send, get("/", b"Content-Length: 3", expecting, method="POST"))
        assert client._call(transport.receive()) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client._do(transport.send, b"abc")
        assert bodies(client._call(transport.receive())) == [b"abc"]
        client._do(transport.disconnect)


def test_without_interest_in_the_body_there_is_no_100(app: App) -> None:
    answer = handle_raw(app, get("/ignore", b"Content-Length: 3", b"Expect: 100-continue", method="POST"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert CLOSE in answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/2.0\r\n\r\n", b"505 HTTP Version Not Supported"),
        (get("/" + "a" * 9000), b"414 "),
        (get("/", b"X: " + b"y" * 40000), b"431 Request Header Fields Too Large"),
        (get("/", b"Expect: miracles"), b"417 Expectation Failed"),
        (get("/", b"Content-Length: 999999999999"), b"413 "),
        (get("/", b"Transfer-Encoding: gzip, chunked"), b"501 Not Implemented"),
    ],
)
def test_what_is_refused_is_told_why_and_closed(app: App, data: bytes, status: bytes) -> None:
    answer = handle_raw(app, data + get())
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert CLOSE in answer
    assert b"application/problem+json" in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_turns_out_malformed_is_refused_by_the_reader(app: App) -> None:
    head = get("/", b"Transfer-Encoding: chunked", method="POST")
    answer = handle_raw(app, head + b"3\r\nabcXX")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert CLOSE in answer


def test_a_body_over_the_limit_is_413(app: App) -> None:
    head = get("/", b"Transfer-Encoding: chunked", method="POST")
    answer = handle_raw(app, head + b"ff\r\n", max_body_bytes=100)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_ends_inside_its_body_is_told_so(app: App) -> None:
    answer = handle_raw(app, get("/", b"Content-Length: 10", method="POST") + b"abc")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert CLOSE in answer


def test_a_response_can_be_streamed() -> None:
    app = App()

    @app.get("/")
    async def stream(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            await asyncio.sleep(0)
            yield b""
            yield b"two"

        return Response.stream(pieces())

    answer = handle_raw(app, get() + get(method="HEAD") + b"GET / HTTP/1.0\r\n\r\n")
    first, second, third = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert second.endswith(b"\r\n\r\n")
    assert third.endswith(b"\r\n\r\nonetwo")


def test_an_application_can_never_answer_twice(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/{kind}")
    async def wrong(request: Request, kind: str) -> Response:
        if kind == "long":
            return Response(b"hello", headers={"Content-Length": "3"})
        if kind == "framed":
            return Response(b"hello", headers={"Transfer-Encoding": "chunked"})
        return Response(b"hello", status=204)

    with caplog.at_level(logging.ERROR, "pierhead.app"):
        for kind in ("long", "framed", "bodiless"):
            caplog.clear()
            answer = handle_raw(app, get(f"/{kind}"))
            assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
            assert answer.count(b"HTTP/1.1") == 1
            assert f"GET /{kind}" in caplog.text


@pytest.mark.parametrize("kind", ["fails", "short", "long"])
def test_a_stream_that_goes_wrong_is_visibly_broken_off(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    async def stream(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"hello"
            if kind == "fails":
                raise RuntimeError("the disk is gone")
            if kind == "long":
                yield b"hello" * 10

        return Response.stream(pieces(), headers={} if kind == "fails" else {"Content-Length": "10"})

    with caplog.at_level(logging.ERROR, "pierhead.app"):
        answer = handle_raw(app, get() + get())
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b"5\r\nhello\r\n" if kind == "fails" else b"\r\n\r\nhello")
    assert "GET /" in caplog.text
    with Client(app) as client, pytest.raises(ConnectionError, match="broken off"):
        client.get("/")


def test_a_handler_that_takes_too_long_is_504() -> None:
    app = App()
    cancelled = asyncio.Event()

    @app.get("/")
    async def forever(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    with Client(app, handler_timeout_s=0.1) as client:
        response = client.get("/")
        assert response.status == 504
        assert response.headers["Content-Type"] == "application/problem+json"
    assert cancelled.is_set()


@pytest.mark.parametrize("first", [True, False])
def test_a_handler_that_asks_for_more_time_gets_it(first: bool) -> None:
    """Before it waits for the first time, and later; the deadline is looked at four times a second."""
    app = App()

    @app.get("/")
    async def long(request: Request) -> str:
        if not first:
            await asyncio.sleep(0)
        request.extend_deadline(60)
        await asyncio.sleep(0.6)
        return "done"

    with Client(app, handler_timeout_s=0.1) as client:
        assert client.get("/").text == "done"


def test_a_head_that_does_not_come_in_time_is_408(app: App) -> None:
    with Client(app, head_timeout_s=0.1) as client:
        transport = client._call(client._connect())
        client._do(transport.send, b"GET / HTTP/1.1\r\n")
        answer = client._call(transport.receive())
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert CLOSE in answer


def test_a_body_that_stops_coming_is_408(app: App) -> None:
    with Client(app, body_timeout_s=0.1) as client:
        transport = client._call(client._connect())
        client._do(transport.send, get("/", b"Content-Length: 10", method="POST") + b"abc")
        assert client._call(transport.receive()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.parametrize("limits", [(0.1, 0.1), (1.0, 0.1)], ids=str)
def test_a_body_that_stops_coming_is_not_the_handlers_delay(
    app: App, limits: tuple[float, float], caplog: pytest.LogCaptureFixture
) -> None:
    body_s, handler_s = limits
    with Client(app, body_timeout_s=body_s, handler_timeout_s=handler_s) as client:
        transport = client._call(client._connect())
        client._do(transport.send, get("/", b"Content-Length: 10", method="POST") + b"abc")
        assert client._call(transport.receive()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert "took longer" not in caplog.text


@pytest.mark.parametrize("begun", [b"", get()])
def test_an_idle_connection_is_closed_without_a_word(app: App, begun: bytes) -> None:
    with Client(app, head_timeout_s=0.1, keep_alive_timeout_s=0.1) as client:
        transport = client._call(client._connect())
        client._do(transport.send, begun)
        if begun:
            assert bodies(client._call(transport.receive())) == [b"hello"]
        assert client._call(transport.receive()) == b""


def test_one_connection_too_many_is_503(app: App) -> None:
    with Client(app, max_connections=1) as client:
        first = client._call(client._connect())
        second = client._call(client._connect())
        answer = client._call(second.receive())
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Retry-After: 1\r\n" in answer
        client._do(first.send, get())
        assert bodies(client._call(first.receive())) == [b"hello"]
        client._do(first.disconnect)


def test_a_client_that_never_reads_is_cut(app: App) -> None:
    ended = asyncio.Event()

    @app.get("/endless")
    async def endless(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 65536
            finally:
                ended.set()

        return Response.stream(pieces())

    with Client(app, write_timeout_s=0.1) as client:
        transport = client._call(client._connect())
        client._do(transport.send, get("/endless"))
        client._call(asyncio.wait_for(ended.wait(), 30))
        assert transport.is_closing()


def test_a_stream_ends_when_its_client_leaves(app: App) -> None:
    ended = asyncio.Event()

    @app.get("/events")
    async def events(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await asyncio.Event().wait()
            finally:
                ended.set()

        return Response.stream(pieces())

    with Client(app) as client:
        with client.stream("GET", "/events") as stream:
            assert next(iter(stream)) == b"first"
        client._call(asyncio.wait_for(ended.wait(), 30))


def test_an_event_stream_ends_cleanly_when_the_server_drains(app: App) -> None:
    @app.get("/events")
    async def events(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"data: first\n\n"
            await asyncio.Event().wait()

        return Response.stream(pieces(), content_type="text/event-stream")

    with Client(app) as client, client.stream("GET", "/events") as stream:
        pieces = iter(stream)
        assert next(pieces) == b"data: first\n\n"
        assert client._server is not None
        assert client._call(client._server.drain(60.0)) == 0
        assert list(pieces) == []  # ended by its last chunk, not broken off


def test_while_draining_what_is_in_progress_finishes_and_says_close(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow(request: Request) -> Response:
        begun.set()
        await go_on.wait()
        return Response.text("finished")

    with Client(app) as client:
        transport = client._call(client._connect())
        idle = client._call(client._connect())
        client._do(transport.send, get("/slow"))
        client._call(begun.wait())
        server = client._server
        assert server is not None
        monkeypatch.setattr(connection, "_LATE_REQUEST_GRACE_S", 30.0)
        drained = asyncio.run_coroutine_threadsafe(server.drain(60.0), client._loop)  # type: ignore[arg-type]
        client._do(idle.send, get())  # under way when the drain began
        late = client._call(idle.receive())
        assert CLOSE in late
        assert bodies(late) == [b"hello"]
        client._do(go_on.set)
        answer = client._call(transport.receive())
        assert CLOSE in answer
        assert bodies(answer) == [b"finished"]
        assert drained.result(60) == 0


def test_what_does_not_finish_in_the_grace_is_cut(app: App) -> None:
    @app.get("/stuck")
    async def stuck(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    with Client(app) as client:
        transport = client._call(client._connect())
        client._do(transport.send, get("/stuck"))
        assert client._server is not None
        assert client._call(client._server.drain(0.1)) == 1
        assert client._call(transport.receive()) == b""


def test_an_application_that_exits_takes_nobody_with_it(app: App, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/exit")
    async def leave(request: Request) -> Response:
        raise SystemExit(3)

    @app.get("/exit/thread")
    def leave_in_a_thread(request: Request) -> Response:
        raise SystemExit(3)

    @app.websocket("/exit/socket")
    async def leave_a_socket(socket: WebSocket) -> None:
        raise SystemExit(3)

    with Client(app) as client:
        assert client.get("/exit").status == 500
        assert client.get("/exit/thread").status == 500
        with pytest.raises(WebSocketRejected) as rejected, client.websocket("/exit/socket"):
            pass
        assert rejected.value.response.status == 500
        assert client.get("/").text == "hello"
    assert caplog.text.count("SystemExit: 3") == 3
