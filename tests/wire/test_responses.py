"""What an application does wrong, over a real socket: one response, or one that is cut, and never two.

Before the response's head the client gets 500 and the connection goes on; after it the connection is cut, so
that the client sees that something is missing. The server lives, and its log says which request, and why.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pierhead import Request, Response
from pierhead.messages.files import FileBody
from tests.wire.connection import Recorder, answers
from tests.wire.loops import best_loop
from tests.wire.serving import Serving, serving

Make = Callable[[], Any]


async def pieces(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        if isinstance(item, BaseException):
            raise item
        yield item
        await asyncio.sleep(0)


def raw(*fields: tuple[bytes, bytes], status: int = 200, body: Any = b"hello") -> Make:
    """Make a response that nothing has checked, as other interfaces' applications answer it."""
    return lambda: Response.from_raw(status, list(fields), body)


def streamed(*items: Any, length: int | None = None, status: int = 200) -> Make:
    fields = [] if length is None else [(b"Content-Length", b"%d" % length)]
    return lambda: Response.from_raw(status, fields, pieces(*items))


def fails(error: BaseException) -> Make:
    def make() -> Any:
        raise error

    return make


# What the application answers, and what the log says of it.
BEFORE_THE_HEAD: dict[str, tuple[Make, str]] = {
    "CR LF in a value": (raw((b"X", b"y\r\nSet-Cookie: z=1")), "CR, LF or NUL"),
    "a response in a value": (raw((b"X", b"y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")), "CR, LF or NUL"),
    "CR in a value": (raw((b"X", b"y\rz")), "CR, LF or NUL"),
    "LF in a value": (raw((b"X", b"y\nz")), "CR, LF or NUL"),
    "NUL in a value": (raw((b"X", b"y\0z")), "CR, LF or NUL"),
    "CR LF in a name": (raw((b"X: y\r\nZ", b"z")), "CR, LF or NUL"),
    "CR LF in a streamed response's value": (
        lambda: Response.from_raw(200, [(b"X", b"y\r\nZ: z")], pieces(b"hello")),
        "CR, LF or NUL",
    ),
    "a body longer than its Content-Length": (raw((b"Content-Length", b"3")), "Content-Length is 3"),
    "a body shorter than its Content-Length": (raw((b"Content-Length", b"9")), "Content-Length is 9"),
    "two Content-Lengths": (raw((b"Content-Length", b"5"), (b"content-length", b"5")), "not one number"),
    "a Content-Length that is none": (raw((b"Content-Length", b"5, 5")), "not one number"),
    "a signed Content-Length": (raw((b"Content-Length", b"+5")), "not one number"),
    "a Transfer-Encoding": (raw((b"Transfer-Encoding", b"chunked")), "does not set Transfer-Encoding"),
    "a body with 204": (raw(status=204), "204 response has no body"),
    "a body with 304": (raw(status=304), "304 response has no body"),
    "a streamed body with 204": (streamed(b"hello", status=204), "204 response has no body"),
    "an informational status": (raw(status=100), "status"),
    "a switch of protocols": (raw(status=101), "status"),
    "a status of two digits": (raw(status=99), "status"),
    "a status of four digits": (raw(status=1000), "status"),
    "no response": (lambda: None, "has not answered"),
    "text for a response": (lambda: "hello", "str"),
    "a body that is text": (lambda: Response.from_raw(200, [], "hello"), "str"),  # type: ignore[arg-type]
    "a body that is nothing": (lambda: Response.from_raw(200, [], None), "NoneType"),  # type: ignore[arg-type]
    "fields of text": (lambda: Response.from_raw(200, [("X", "y")], b""), "str"),  # type: ignore[list-item]
    "an exception": (fails(RuntimeError("a bug")), "a bug"),
    "a cancellation of its own": (fails(asyncio.CancelledError("a bug")), "cancelled"),
}
AFTER_THE_HEAD: dict[str, tuple[Make, bytes, str]] = {
    "an exception midway": (streamed(b"hello", RuntimeError("a bug")), b"5\r\nhello\r\n", "a bug"),
    "an exception at once": (streamed(RuntimeError("a bug")), b"", "a bug"),
    "a cancellation midway": (streamed(b"hello", asyncio.CancelledError()), b"5\r\nhello\r\n", "cancelled"),
    "more than announced": (streamed(b"hello", b"world", length=8), b"hello", "2 bytes longer"),
    "more than announced at once": (streamed(b"hello world", length=8), b"", "3 bytes longer"),
    "less than announced": (streamed(b"hello", length=8), b"hello", "3 bytes shorter"),
    "text in the middle": (streamed(b"hello", "world"), b"5\r\nhello\r\n", "str"),
    "a number in the middle": (streamed(b"hello", 5), b"5\r\nhello\r\n", "int"),
}


class Misbehaving(Recorder):
    """An application that answers /bad with what the test put there, and all else well."""

    def __init__(self) -> None:
        super().__init__()
        self.make: Make = lambda: Response.text("")

    async def respond(self, request: Request) -> Response:
        if request.target == "/bad":
            response: Response = self.make()
            return response
        return Response.text("good")


APP = Misbehaving()


@pytest.fixture(scope="module", params=["asyncio", "best"])
def running(request: pytest.FixtureRequest) -> Iterator[Serving]:
    new_loop = best_loop if request.param == "best" else asyncio.new_event_loop
    with serving(APP, new_loop) as running:
        yield running


def request(target: str, method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode()


def converse(running: Serving, *requests: bytes) -> bytes:
    """Send requests, all at once, the last with Connection: close; return all that comes until the end."""
    *first, last = requests
    with running.connect() as client:
        client.sendall(b"".join(first) + last.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = bytearray()
        try:
            while data := client.recv(1 << 16):
                answer += data
        except ConnectionResetError:
            pass  # the server cut it
        return bytes(answer)


@pytest.mark.parametrize(
    ("kind", "method"),
    [(kind, "GET") for kind in BEFORE_THE_HEAD]
    # In answer to HEAD a length without a body is that of GET's body.
    + [(kind, "HEAD") for kind in BEFORE_THE_HEAD if kind != "a body shorter than its Content-Length"],
)
def test_before_the_head(kind: str, method: str, running: Serving, caplog: pytest.LogCaptureFixture) -> None:
    APP.make, reason = BEFORE_THE_HEAD[kind]
    with caplog.at_level(logging.ERROR, "pierhead"):
        found = answers(converse(running, request("/bad", method), request("/good")), [method, "GET"])
    assert [answer.status for answer in found] == [500, 200]
    assert found[0].headers["content-type"] == "application/problem+json"
    assert b"hello" not in found[0].body
    assert found[1].body == b"good"
    assert f"{method} /bad" in caplog.text
    assert reason in caplog.text


@pytest.mark.parametrize("kind", AFTER_THE_HEAD)
def test_after_the_head(kind: str, running: Serving, caplog: pytest.LogCaptureFixture) -> None:
    APP.make, sent, reason = AFTER_THE_HEAD[kind]
    with caplog.at_level(logging.ERROR, "pierhead"):
        answer = converse(running, request("/bad"), request("/good"))
    if answer:  # a cut may overtake what was sent
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert sent.startswith(body)
        assert b"0\r\n\r\n" not in body
    assert answer.count(b"HTTP/1.1") <= 1
    assert "GET /bad" in caplog.text
    assert reason in caplog.text
    assert answers(converse(running, request("/good")), ["GET"])[0].body == b"good"  # the server lives


@pytest.mark.parametrize(
    ("status", "method"),
    [(200, "HEAD"), (404, "HEAD"), (204, "GET"), (304, "GET"), (304, "HEAD"), (205, "GET")],
)
def test_what_has_no_body_has_none(status: int, method: str, running: Serving) -> None:
    APP.make = raw(status=status, body=b"hello" if method == "HEAD" and status != 304 else b"")
    answer = converse(running, request("/bad", method), request("/good"))
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b"good")
    assert (b"Content-Length" in head) is (status not in {204, 304})


def test_a_streamed_answer_to_head_is_its_head(running: Serving) -> None:
    APP.make = streamed(b"hello", RuntimeError("never reached"))
    answer = converse(running, request("/bad", "HEAD"), request("/good"))
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b"hello" not in answer


def test_a_file_that_shrinks_is_visibly_cut(
    running: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 400_000)
    APP.make = lambda: Response(FileBody(path, 0, 500_000, 500_000, 0))
    with caplog.at_level(logging.ERROR, "pierhead"):
        answer = converse(running, request("/bad"))
    assert len(answer.partition(b"\r\n\r\n")[2]) < 500_000
    assert "bytes shorter" in caplog.text


def test_pieces_of_nothing_do_not_end_a_response(running: Serving) -> None:
    APP.make = streamed(b"", b"hello", b"", b"", b"world", b"")
    answer = converse(running, request("/bad"), request("/good"))
    assert b"\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n" in answer


def test_hop_by_hop_fields_are_the_servers(running: Serving) -> None:
    APP.make = raw((b"Connection", b"keep-alive, X"), (b"Keep-Alive", b"max=1"), (b"Upgrade", b"h2c"))
    (answer, _) = answers(converse(running, request("/bad"), request("/good")), ["GET", "GET"])
    assert {"connection", "keep-alive", "upgrade"}.isdisjoint(answer.headers)


def test_a_client_that_leaves_midway_hurts_nobody(running: Serving) -> None:
    APP.make = streamed(*[b"x" * 65536] * 100)
    with running.connect() as client:
        client.sendall(request("/bad"))
        client.recv(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close by a reset
    assert answers(converse(running, request("/good")), ["GET"])[0].body == b"good"
