"""WSGI: PEP 3333 is kept, as wsgiref.validate sees it, and what applications do wrong is answered for."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

from pierhead import Headers, Request
from pierhead.interfaces.wsgi import WSGIApp, WSGIApplication
from pierhead.testing import Client, WebSocketRejected, handle_raw

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
DEADLINE_S = 60.0
TEXT = [("Content-Type", "text/plain")]

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]


class Blocks:
    """An iterable of blocks that notes that it was closed, and by which thread."""

    def __init__(self, *blocks: Any) -> None:
        self._blocks = iter(blocks)
        self.closed_by: list[str] = []

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = next(self._blocks)
        if isinstance(block, Exception):
            raise block
        return block  # type: ignore[no-any-return]

    def close(self) -> None:
        self.closed_by.append(threading.current_thread().name)


def client(app: Any, **settings: Any) -> Client:
    return Client(validator(app), interface="wsgi", **settings)


def returning(result: Any, status: str = "200 OK", headers: Iterable[tuple[str, str]] = TEXT) -> WSGIApp:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response(status, list(headers))
        return result  # type: ignore[no-any-return]

    return app


def test_a_list_is_sent_with_its_length() -> None:
    answer = handle_raw(returning([b"hello ", b"world"]), GET)
    assert b"\r\nContent-Length: 11\r\n" in answer
    assert answer.endswith(b"\r\n\r\nhello world")


def test_the_environment() -> None:
    seen: list[Environ] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        seen.append(environ)
        start_response("204 No Content", [])
        return []

    headers = [
        ("Host", "shop.example:81"),
        ("X-Two", "a"),
        ("X-Two", "b"),
        ("X_Two", "spoofed"),
        ("Cookie", "a=1"),
        ("Cookie", "b=2"),
        ("Proxy", "http://evil.example"),
    ]
    with client(app, trusted_proxies=()) as served:
        served.get("/caf%C3%A9/a%20b?q=%20", headers=headers)
        served.post("/", content=[b"ab", b"c"])
    environ, posted = seen
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/caf\xc3\xa9/a b",
        "QUERY_STRING": "q=%20",
        "REQUEST_URI": "/caf%C3%A9/a%20b?q=%20",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": "shop.example:81",
        "HTTP_X_TWO": "a, b",
        "HTTP_COOKIE": "a=1; b=2",
        "wsgi.url_scheme": "http",
    }
    assert {name: environ[name] for name in expected} == expected
    assert "CONTENT_LENGTH" not in environ
    assert "HTTP_PROXY" not in environ
    assert (posted["CONTENT_LENGTH"], "HTTP_TRANSFER_ENCODING" in posted) == ("3", False)


@pytest.mark.parametrize("size", [0, 10, 1 << 20])
def test_the_body_is_whole_before_the_application_is_called(size: int) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        return [environ["wsgi.input"].read(size + 1)]

    content = b"x" * size
    with client(app) as served:
        assert served.post("/", content=content).body == content


def test_a_body_that_never_comes_keeps_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    called: list[bool] = []

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        called.append(True)
        return []

    with client(app, body_timeout_s=0.3) as served:
        transport = served._call(served._connect())
        served._do(transport.send, b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n123")
        assert served._call(transport.receive()).startswith(b"HTTP/1.1 408 ")
    assert not called


def test_a_body_that_is_too_large() -> None:
    with client(returning([b""]), max_body_bytes=10) as served:
        assert served.post("/", content=[b"x" * 20]).status == 413


def test_blocks_are_sent_as_they_come_and_closed_in_the_same_thread() -> None:
    proceed = threading.Event()
    threads: list[str] = []

    class Slow(Blocks):
        def __next__(self) -> bytes:
            threads.append(threading.current_thread().name)
            block = super().__next__()
            if block == b"two":
                proceed.wait(DEADLINE_S)
            return block

    blocks = Slow(b"", b"one", b"two", b"")
    with client(returning(blocks)) as served, served.stream("GET", "/") as response:
        pieces = iter(response)
        assert next(pieces) == b"one"
        proceed.set()
        assert b"".join(pieces) == b"two"
    assert blocks.closed_by == [threads[0]]
    assert len(set(threads)) == 1


def test_a_first_block_that_is_all_is_no_stream() -> None:
    blocks = Blocks(b"hello")
    with client(returning(blocks, headers=[*TEXT, ("Content-Length", "5")])) as served:
        response = served.get("/")
    assert (response.body, response.headers.get("Transfer-Encoding")) == (b"hello", None)
    assert len(blocks.closed_by) == 1


def test_write_sends_before_the_rest() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"one ")
        write(b"two ")
        return [b"three"]

    with client(app) as served:
        assert served.get("/").body == b"one two three"


def test_a_client_that_leaves_ends_the_iteration(caplog: pytest.LogCaptureFixture) -> None:
    closed = threading.Event()

    class Endless(Blocks):
        def __next__(self) -> bytes:
            return b"x" * 1000

        def close(self) -> None:
            closed.set()

    with Client(returning(Endless())) as served:
        with served.stream("GET", "/") as response:
            next(iter(response))
        assert closed.wait(DEADLINE_S)
    assert not caplog.records


def test_a_slow_client_makes_the_application_wait() -> None:
    produced: list[int] = []

    def blocks() -> Iterator[bytes]:
        for number in range(1000):
            produced.append(number)
            yield b"x" * 10_000

    with client(returning(blocks())) as served, served.stream("GET", "/") as response:
        pieces = iter(response)
        size = len(next(pieces))
        assert len(produced) < 100
        assert size + sum(map(len, pieces)) == 10_000_000


def test_errors_are_replaced_before_the_first_block() -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        try:
            raise ValueError("broken")
        except ValueError:
            start_response("503 Later", [*TEXT, ("Retry-After", "3")], sys.exc_info())
        return [b"later"]

    with client(app) as served:
        response = served.get("/")
    assert (response.status, response.headers["Retry-After"]) == (503, "3")


def test_after_the_first_block_they_are_raised(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        yield b"half"
        try:
            raise ValueError("broken")
        except ValueError:
            start_response("500 Broken", TEXT, sys.exc_info())

    answer = handle_raw(app, GET)
    assert answer.endswith(b"4\r\nhalf\r\n")  # cut off
    assert "ValueError: broken" in caplog.text


@pytest.mark.parametrize(
    ("app", "said"),
    [
        (returning([], "OK"), "a status is like"),
        (returning([], "100 Continue"), "a status is like"),
        (returning([], headers=[("a b", "c")]), "is no header name"),
        (returning(["text"]), "blocks are bytes, not str"),
        (returning(7), "not iterable"),
        (returning(Blocks(ValueError("broken"))), "broken"),
        (returning([b"body"], "204 No Content", []), ""),
        (lambda environ, start_response: [b"x"], "did not call start_response"),
        (
            lambda environ, start_response: [start_response("200 OK", []) and start_response("200 OK", [])],
            "twice",
        ),
        (returning([b"hello"], headers=[("Content-Length", "3")]), "the Content-Length is 3"),
        (returning([b"x"], headers=[("X", "a\r\nb: c")]), "CR, LF or NUL"),
    ],
)
def test_what_is_no_wsgi_is_a_500(app: WSGIApp, said: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = handle_raw(app, GET)
    if not said:
        assert answer.startswith(b"HTTP/1.1 204 ")
        assert answer.endswith(b"\r\n\r\n")
        return
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert said in caplog.text


def test_a_close_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Blocks):
        def close(self) -> None:
            raise ValueError("broken")

    assert handle_raw(returning(Failing(b"hello")), GET).count(b"hello") == 1
    assert "close() failed" in caplog.text


def test_a_stream_that_fails_is_closed_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    blocks = Blocks(b"half", ValueError("broken"))
    assert handle_raw(returning(blocks), GET).endswith(b"4\r\nhalf\r\n")
    assert len(blocks.closed_by) == 1


@pytest.mark.parametrize("blocks", [[], [b"hello"], Blocks(b"hello")])
def test_head_has_no_body(blocks: Iterable[bytes]) -> None:
    answer = handle_raw(returning(blocks), GET.replace(b"GET", b"HEAD"))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")
    assert (b"Content-Length: 5" in answer) == (blocks == [b"hello"])
    assert b"Content-Length: 0" not in answer


def test_files_are_wrapped(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 4096)
    opened = file.open("rb")

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](opened, 8192)  # type: ignore[no-any-return]

    with client(app) as served:
        assert served.get("/").body == file.read_bytes()
    assert opened.closed


def test_any_file_like_object_is_wrapped() -> None:
    class Plain:
        def __init__(self) -> None:
            self.read = io.BytesIO(b"content").read

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](Plain())  # type: ignore[no-any-return]

    assert handle_raw(app, GET).endswith(b"content\r\n0\r\n\r\n")


def test_errors_without_an_end_of_line_are_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        environ["wsgi.errors"].write("e" * 100_000)
        environ["wsgi.errors"].write("the end")
        raise ValueError("later")

    with client(app) as served:
        assert served.get("/").status == 500
    said = [record.getMessage().partition("] ")[2] for record in caplog.records]
    assert said[:2] == ["e" * 100_000, "the end"]


def test_errors_written_are_logged_by_line(caplog: pytest.LogCaptureFixture) -> None:
    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        errors = environ["wsgi.errors"]
        errors.write("one\ntw")
        errors.writelines(["o\n", "thr", "ee"])
        errors.flush()
        start_response("204 No Content", [])
        return []

    with client(app) as served:
        served.get("/")
    assert [record.getMessage().partition("] ")[2] for record in caplog.records] == ["one", "two", "three"]


def test_requests_are_worked_on_at_the_same_time() -> None:
    barrier = threading.Barrier(4)

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        barrier.wait(DEADLINE_S)
        start_response("200 OK", TEXT)
        return [b"met"]

    with client(app, threads=4) as served:
        asked = [threading.Thread(target=served.get, args=("/",)) for _ in range(3)]
        for thread in asked:
            thread.start()
        assert served.get("/").body == b"met"
        for thread in asked:
            thread.join()


def test_a_call_that_is_given_up_cannot_answer_any_more(caplog: pytest.LogCaptureFixture) -> None:
    proceed = threading.Event()
    raised: list[BaseException] = []
    done = threading.Event()

    def app(environ: Environ, start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", TEXT)
        proceed.wait(DEADLINE_S)
        try:
            write(b"late")
        except OSError as error:
            raised.append(error)
        done.set()
        return []

    with Client(app, handler_timeout_s=0.3) as served:
        assert served.get("/").status == 504
        proceed.set()
        assert done.wait(DEADLINE_S)
    assert len(raised) == 1
    assert "goes on in its thread" in caplog.text


def test_a_websocket_is_a_request_like_others() -> None:
    with (
        client(returning([b"no"], "400 Bad Request")) as served,
        pytest.raises(WebSocketRejected) as rejected,
    ):
        served.websocket("/").__enter__()
    assert (rejected.value.response.status, rejected.value.response.body) == (400, b"no")


async def test_without_a_channel_the_response_is_collected() -> None:
    application = WSGIApplication(returning(Blocks(b"one", b"two"), "201 Created"))
    await application.start()
    response = await asyncio.wait_for(application.respond(Request("GET", "/", Headers())), DEADLINE_S)
    await application.stop()
    assert response is not None
    assert (response.status, response.body) == (201, b"onetwo")
