"""FastCGI connections that stay open for next requests: when they are used again, and when not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pierhead import App, Request, Response
from pierhead.config import Settings
from pierhead.interfaces.gateway import FastCGIApplication
from pierhead.interfaces.gateway.idle import IdleConnections
from pierhead.interfaces.native import NativeApplication
from pierhead.messages.headers import Headers
from pierhead.protocols.fastcgi import BeginRequest, EndRequest, RecordReader, RecordType, render
from pierhead.supervisor.listeners import bind
from pierhead.testing import Client
from pierhead.transports.server import Server

DEADLINE_S = 60.0

Answers = Callable[[int, int], bytes | None]
"""From the number of the connection and of the request on it to what is sent; None closes the connection."""


def answer(text: str) -> bytes:
    output = render(RecordType.STDOUT, 1, f"Content-Type: text/plain\r\n\r\n{text}".encode())
    return output + render(RecordType.END_REQUEST, 1, EndRequest().encode())


class Program:
    """Answers by FastCGI, one connection after the other; keeps the bodies and the flags it got."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.connections = 0
        self.kept: list[bool] = []
        self.bodies: list[bytes] = []
        self.closed = threading.Semaphore(0)
        """One more for each connection that ended."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"fastcgi://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE_S)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with connection, contextlib.suppress(OSError):
                self._converse(connection, self.connections)
            self.closed.release()

    def _converse(self, connection: socket.socket, number: int) -> None:
        reader = RecordReader()
        body = b""
        requests = 0
        while data := connection.recv(65536):
            for record in reader.feed(data):
                if record.type == RecordType.BEGIN_REQUEST:
                    self.kept.append(BeginRequest.decode(record.content).keep_connection)
                elif record.type == RecordType.STDIN and record.content:
                    body += record.content
                elif record.type == RecordType.STDIN:
                    self.bodies.append(body)
                    body = b""
                    requests += 1
                    said = self._answers(number, requests)
                    if said is None:
                        return
                    connection.sendall(said)


@contextlib.contextmanager
def running(answers: Answers) -> Iterator[Program]:
    program = Program(answers)
    try:
        yield program
    finally:
        program.close()


def numbered(connection: int, request: int) -> bytes:
    return answer(f"{connection}.{request}")


def test_requests_share_a_connection() -> None:
    with running(numbered) as program, Client(FastCGIApplication(program.url, idle_connections=2)) as client:
        assert [client.get("/").text for _ in range(3)] == ["1.1", "1.2", "1.3"]
        assert client.put("/", content=b"put").text == "1.4"
    assert program.kept == [True] * 4


def test_without_idle_connections_each_request_has_its_own() -> None:
    with running(numbered) as program, Client(FastCGIApplication(program.url)) as client:
        assert [client.get("/").text for _ in range(2)] == ["1.1", "2.1"]
    assert program.kept == [False] * 2


@pytest.mark.parametrize("connections", [1, 16])
def test_what_must_not_be_sent_twice_gets_a_new_connection(connections: int) -> None:
    # The program takes one connection at a time: the one that waits has to be closed first, not by its age.
    with running(numbered) as program:
        application = FastCGIApplication(
            program.url, connections=connections, idle_connections=1, timeout_s=8.0
        )
        with Client(application) as client:
            said = [client.get("/").text, client.post("/", content=b"x").text, client.get("/").text]
    assert said == ["1.1", "2.1", "2.2"]


def closing(connection: int, request: int) -> bytes | None:
    """Close the first connection at its second request."""
    return None if (connection, request) == (1, 2) else numbered(connection, request)


@pytest.mark.parametrize("body", [b"small", b"x" * 2_000_000])
def test_a_request_that_meets_a_closing_connection_is_sent_again(body: bytes) -> None:
    with running(closing) as program, Client(FastCGIApplication(program.url, idle_connections=1)) as client:
        assert client.get("/").text == "1.1"
        assert client.put("/", content=body).text == "2.1"
    assert program.bodies[-1] == body


def test_a_connection_that_was_closed_meanwhile_is_not_used() -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.close()
            ended.set()

        async with await asyncio.start_server(end, "127.0.0.1", 0) as server:
            idle = IdleConnections(1)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            idle.keep((reader, writer))
            writer.write(b"x")
            await ended.wait()
            assert await reader.read() == b""
            assert idle.take() is None
            idle.close()

    asyncio.run(main())


def test_it_is_sent_again_once_only(caplog: pytest.LogCaptureFixture) -> None:
    def answers(connection: int, request: int) -> bytes | None:
        return numbered(1, 1) if (connection, request) == (1, 1) else None

    with running(answers) as program, Client(FastCGIApplication(program.url, idle_connections=1)) as client:
        assert client.get("/").status == 200
        assert client.get("/").status == 502
        assert program.connections == 2
    assert "closed the connection before its answer was complete" in caplog.text


def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    def answers(connection: int, request: int) -> bytes | None:
        # A record without its end: what comes next is the end of the connection.
        return numbered(connection, request) if request == 1 else render(RecordType.STDOUT, 1, b"Content-")

    with running(answers) as program:
        application = FastCGIApplication(program.url, idle_connections=1, timeout_s=3.0)
        with Client(application) as client:
            assert client.get("/").status == 200
            assert client.get("/").status == 504
            assert program.connections == 1


@pytest.mark.parametrize(
    "surplus",
    [answer("unasked"), b"\1", render(RecordType.STDOUT, 0, b"x")],
    ids=["an answer", "a piece of a record", "a record of no request"],
)
def test_a_connection_with_surplus_output_is_not_used_again(surplus: bytes) -> None:
    def answers(connection: int, request: int) -> bytes | None:
        return numbered(connection, request) + surplus

    with running(answers) as program, Client(FastCGIApplication(program.url, idle_connections=1)) as client:
        assert [client.get("/").text for _ in range(2)] == ["1.1", "2.1"]


def test_a_stop_closes_the_connections_that_wait() -> None:
    with running(numbered) as program:
        with Client(FastCGIApplication(program.url, idle_connections=1)) as client:
            client.get("/")
            assert not program.closed.acquire(blocking=False)
        assert program.closed.acquire(timeout=DEADLINE_S)


def test_connections_that_wait_for_long_are_closed() -> None:
    async def main(program: Program) -> None:
        idle = IdleConnections(2, idle_s=0.02)
        _, port = program.url.rsplit(":", 1)
        opened = [await asyncio.open_connection("127.0.0.1", int(port)) for _ in range(3)]
        for streams in opened:
            idle.keep(streams)
        assert len(idle) == 2
        while len(idle):  # noqa: ASYNC110 - the timer is its own
            await asyncio.sleep(0.005)
        assert idle.take() is None
        idle.close()

    with running(numbered) as program:
        asyncio.run(main(program))


def test_this_server_keeps_its_side_open() -> None:
    app = App()

    @app.get("/")
    async def hello(request: Request) -> Response:
        return Response.text("hello")

    async def main() -> None:
        server = Server(NativeApplication(app), Settings())
        await server.start()
        bound = bind("fastcgi://127.0.0.1:0", 10)
        port = bound.getsockname()[1]
        await server.listen(bound, "fastcgi://127.0.0.1:0")
        application = FastCGIApplication(f"fastcgi://127.0.0.1:{port}", idle_connections=1)
        await application.start()
        for _ in range(3):
            response = await application.respond(Request("GET", "/", Headers([("Host", "x")])))
            body: Any = response.body if response is not None else None
            assert b"".join([piece async for piece in body]) == b"hello"
            await body.aclose()
        assert server.connections == 1
        await application.stop()
        await server.drain(DEADLINE_S)
        await server.close()

    asyncio.run(main())
