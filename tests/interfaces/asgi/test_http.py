"""ASGI over HTTP: messages become one well-formed response, whatever the application does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from pierhead import Headers, Request
from pierhead.interfaces.asgi import ASGIApplication
from pierhead.interfaces.asgi.scope import Receive, Scope, Send
from pierhead.testing import Client, handle_raw

from .support import Handler, body, http, start

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
DEADLINE_S = 60.0


def answer(handler: Handler, request: bytes = GET, **settings: Any) -> tuple[bytes, bytes]:
    """Return head and body of the first response to raw bytes."""
    head, _, rest = handle_raw(http(handler), request, **settings).partition(b"\r\n\r\n")
    return head, rest


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send(start(headers=[(b"content-type", b"text/plain")]))
    await send(body(b"hello"))


def test_a_response_is_framed_by_the_server() -> None:
    head, content = answer(hello)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 5" in head
    assert content == b"hello"


def test_what_is_complete_leaves_in_one_write() -> None:
    writes: list[bytes] = []

    class Connection:
        async def run(self) -> None:
            from pierhead.config import Settings
            from pierhead.transports.memory import MemoryTransport
            from pierhead.transports.server import Server

            class Counting(MemoryTransport):
                def write(self, data: Any) -> None:
                    writes.append(bytes(data))
                    super().write(data)

            server = Server(ASGIApplication(http(hello)), Settings())
            await server.start()
            transport = Counting(server.connect())
            transport.send(GET)
            assert (await transport.receive()).endswith(b"hello")
            transport.disconnect()
            await server.drain(1.0)
            await server.close()

    asyncio.run(Connection().run())
    assert len(writes) == 1


def test_pieces_are_sent_as_they_come() -> None:
    proceed = threading.Event()

    async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"one", more=True))
        await asyncio.to_thread(proceed.wait, DEADLINE_S)
        await send(body(b"two", more=True))
        await send(body())

    with Client(http(slowly)) as client, client.stream("GET", "/") as response:
        pieces = iter(response)
        assert next(pieces) == b"one"
        proceed.set()
        assert b"".join(pieces) == b"two"
        assert response.headers["Transfer-Encoding"] == "chunked"


def test_the_next_request_is_answered_while_the_application_works_on() -> None:
    proceed, ended = threading.Event(), threading.Event()

    async def background(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        if scope["path"] == "/slow":
            await asyncio.to_thread(proceed.wait, DEADLINE_S)
            ended.set()

    first = GET.replace(b"/ ", b"/slow ")
    with Client(http(background)) as client:
        assert client.raw(first + GET).count(b"hello") == 2
        assert not ended.is_set()
        proceed.set()
    assert ended.is_set()  # stopping waited for it


def test_the_body_is_received_piece_by_piece() -> None:
    got: list[Any] = []

    async def collect(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            got.append((message["type"], message.get("body"), message.get("more_body")))
            if not message.get("more_body"):
                break
        await hello(scope, receive, send)
        got.append((await receive())["type"])

    with Client(http(collect)) as client:
        assert client.post("/", content=[b"ab", b"cd"]).status == 200
    assert b"".join(piece[1] for piece in got[:-1]) == b"abcd"
    assert [piece[2] for piece in got[:-1]][-1] is False
    assert got[-1] == "http.disconnect"  # the response is complete


def test_a_request_without_a_body_has_one_empty_message() -> None:
    async def show(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await send(start())
        await send(body(repr(message).encode()))

    assert answer(show)[1] == b"{'type': 'http.request', 'body': b'', 'more_body': False}"


@pytest.mark.parametrize("half_closed", [True, False])
def test_a_client_that_leaves_is_a_disconnect(half_closed: bool) -> None:
    """Who has closed one side only is answered, but not waited for."""
    entered, left = threading.Event(), threading.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        entered.set()
        if (await receive())["type"] == "http.disconnect":
            left.set()
        with contextlib.suppress(OSError):
            await hello(scope, receive, send)

    with Client(http(wait)) as client:
        if half_closed:
            assert client.raw(GET).endswith(b"hello")
        else:
            transport = client._call(client._connect())
            client._do(transport.send, GET)
            assert entered.wait(DEADLINE_S)
            client._do(transport.disconnect)
        assert left.wait(DEADLINE_S)


def test_sending_to_a_client_that_left_raises_an_oserror(caplog: pytest.LogCaptureFixture) -> None:
    raised: list[BaseException] = []
    done = threading.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        try:
            while True:
                await send(body(b"x" * 1000, more=True))
        except OSError as error:
            raised.append(error)
            raise
        finally:
            done.set()

    with Client(http(endless)) as client:
        with client.stream("GET", "/") as response:
            assert next(iter(response))
        assert done.wait(DEADLINE_S)
    assert len(raised) == 1
    assert not caplog.records  # a client that leaves is no failure


def test_a_slow_client_makes_the_application_wait() -> None:
    sent: list[int] = []

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(1000):
            await send(body(b"x" * 10_000, more=True))
            sent.append(number)
        await send(body())

    with Client(http(much)) as client, client.stream("GET", "/") as response:
        pieces = iter(response)
        next(pieces)
        assert len(sent) < 100
        assert sum(map(len, pieces)) + 10_000 >= 10_000_000


def test_an_application_that_raises_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        raise ValueError("broken")

    head, _ = answer(broken)
    assert head.startswith(b"HTTP/1.1 500 ")
    [record] = caplog.records
    assert "GET /" in record.getMessage()
    assert "broken" in str(record.exc_info)


def test_after_the_first_piece_the_connection_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"half", more=True))
        raise ValueError("broken")

    head, rest = answer(broken)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert rest == b"4\r\nhalf\r\n"  # without its end, so that the client knows
    assert "broken" in caplog.text


def test_after_the_response_a_failure_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        raise ValueError("broken")

    assert answer(broken)[1] == b"hello"
    assert "failed after its response" in caplog.text


@pytest.mark.parametrize(
    ("messages", "status", "said"),
    [
        ([], 500, "returned without a response"),
        ([start()], 500, "returned without a response"),
        ([start(), body(b"half", more=True)], 200, "returned before its response was complete"),
    ],
)
def test_an_application_that_returns_too_early(
    messages: list[Any], status: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    head, rest = answer(early)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"0\r\n\r\n" not in rest
    assert said in caplog.text


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([body(b"x")], RuntimeError),
        ([start(), start()], RuntimeError),
        ([start(), body(), body()], RuntimeError),
        ([start(99)], ValueError),
        ([start(headers=[(b"a b", b"")])], ValueError),
        ([start(headers=[("a", "b")])], TypeError),  # type: ignore[list-item]
        ([{"type": "http.response.push"}], RuntimeError),
    ],
)
def test_messages_that_make_no_sense_raise_where_they_are_sent(
    messages: list[Any], error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    raised: list[Exception] = []

    async def confused(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for message in messages:
                await send(message)
        except Exception as found:
            raised.append(found)
            raise

    answer(confused)
    assert [type(each) for each in raised] == [error]


@pytest.mark.parametrize(
    "fields",
    [[(b"x", b"a\r\nb: c")], [(b"content-length", b"7")], [(b"content-length", b"x")]],
)
def test_a_response_that_cannot_be_sent_is_a_500(
    fields: list[tuple[bytes, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(headers=fields))
        await send(body(b"hello"))

    assert answer(wrong)[0].startswith(b"HTTP/1.1 500 ")


def test_framing_is_not_the_applications() -> None:
    async def framed(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(headers=[(b"transfer-encoding", b"chunked"), (b"connection", b"close")]))
        await send(body(b"hello"))

    head, _ = answer(framed, GET + GET)
    assert b"chunked" not in head
    assert b"Connection: close" not in head


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("more", [True, False])
def test_a_status_without_a_body(status: int, more: bool) -> None:
    async def empty(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(status))
        await send(body(more=more))
        if more:
            await send(body())

    head, rest = answer(empty)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert (b"content-length" in head.lower(), rest) == (False, b"")


def test_head_is_told_no_length_that_is_not_known() -> None:
    async def empty(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body())

    head, rest = answer(empty, GET.replace(b"GET", b"HEAD"))
    assert (b"content-length" in head.lower(), rest) == (False, b"")
    head, rest = answer(hello, GET.replace(b"GET", b"HEAD"))
    assert (b"Content-Length: 5" in head, rest) == (True, b"")


def test_a_body_that_is_too_large_is_refused_for_the_application() -> None:
    seen: list[str] = []

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive()).get("more_body"):
            pass
        seen.append(message["type"])
        await hello(scope, receive, send)

    chunked = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    head, _ = answer(read, chunked + b"5\r\n12345\r\n6\r\n678901\r\n0\r\n\r\n", max_body_bytes=10)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert seen == ["http.disconnect"]


def test_a_body_that_ends_early_is_a_disconnect(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive()).get("more_body"):
            pass
        seen.append(message["type"])

    answer(read, b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n123")
    assert seen == ["http.disconnect"]
    assert not caplog.records


def test_an_application_that_takes_too_long_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    cancelled: list[bool] = []

    async def forever(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with Client(http(forever), handler_timeout_s=0.3) as client:
        assert client.get("/").status == 504
    assert cancelled == [True]


def test_an_event_stream_ends_cleanly_when_the_server_stops() -> None:
    async def events(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(headers=[(b"content-type", b"text/event-stream")]))
        await send(body(b"data: 1\n\n", more=True))
        await asyncio.get_running_loop().create_future()

    with Client(http(events)) as client, client.stream("GET", "/") as response:
        pieces = iter(response)
        assert next(pieces) == b"data: 1\n\n"
        assert client._server is not None
        stopping = asyncio.run_coroutine_threadsafe(client._server.drain(DEADLINE_S), client._loop)  # type: ignore[arg-type]
        assert list(pieces) == []  # the end of the body, not a broken connection
        assert stopping.result(DEADLINE_S) == 0


# Extensions


def test_pathsend_sends_a_file(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * 4096)

    async def give(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.pathsend" in scope["extensions"]
        await send(start())
        await send({"type": "http.response.pathsend", "path": str(file)})

    head, content = answer(give)
    assert b"content-length: 1048576" in head
    assert content == file.read_bytes()


def test_pathsend_of_no_file_is_a_500(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def give(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send({"type": "http.response.pathsend", "path": str(tmp_path / "missing")})

    assert answer(give)[0].startswith(b"HTTP/1.1 500 ")
    assert "FileNotFoundError" in str(caplog.records[0].exc_info)


async def hinting(scope: Scope, receive: Receive, send: Send) -> None:
    await send(
        {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]}
    )
    await hello(scope, receive, send)


def test_early_hints_come_before_the_response() -> None:
    links = b"Link: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n"
    received = handle_raw(http(hinting), GET)
    assert received.startswith(b"HTTP/1.1 103 Early Hints\r\n" + links + b"\r\nHTTP/1.1 200 OK\r\n")


def test_http_1_0_has_no_early_hints() -> None:
    assert handle_raw(http(hinting), b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_trailers_follow_the_body() -> None:
    async def trailing(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(headers=[(b"trailer", b"x-sum, x-end")], trailers=True))
        await send(body(b"hello"))
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"x-end", b"2")]})

    with Client(http(trailing)) as client, client.stream("GET", "/") as response:
        assert b"".join(response) == b"hello"
        assert response.trailers == Headers({"X-Sum": "1", "X-End": "2"})


@pytest.mark.parametrize("field", [(b"content-length", b"1"), (b"x", b"a\r\nb")])
def test_a_trailer_that_may_be_none_cuts_the_connection(
    field: tuple[bytes, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async def trailing(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(trailers=True))
        await send(body(b"hello"))
        await send({"type": "http.response.trailers", "headers": [field]})

    assert answer(trailing)[1] == b"5\r\nhello\r\n"
    assert caplog.records[0].levelno == logging.ERROR


# Without a transport


async def test_without_a_channel_the_response_is_collected() -> None:
    async def pieces(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(201, [(b"x-one", b"1")]))
        await send(body(b"a", more=True))
        await send(body(b"b"))

    response = await ASGIApplication(http(pieces)).respond(Request("GET", "/", Headers()))
    assert response is not None
    assert (response.status, response.headers["X-One"], response.body) == (201, "1", b"ab")


def test_fields_that_others_ask_for_are_added() -> None:
    """A trusted proxy's request id is sent back."""

    async def show(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(json.dumps(scope["path"]).encode()))

    with Client(http(show)) as client:
        assert client.get("/", headers={"X-Request-Id": "abc"}).headers["X-Request-Id"] == "abc"
