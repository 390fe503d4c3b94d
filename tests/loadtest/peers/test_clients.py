"""The clients count only what is right, and say what was not."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from loadtest.peers.clients import idle, rate, sse, stream, websocket
from loadtest.peers.clients.wire import percentiles

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n"
RIGHT = OK + b"Hello, World!"


@contextmanager
def answering(answer: Callable[[socket.socket, int], None]) -> Iterator[int]:
    """Serve each connection in a thread with `answer(connection, its number)`; yields the port."""
    threads: list[threading.Thread] = []

    def accept() -> None:
        for number in range(1000):
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection, number), daemon=True))
            threads[-1].start()

    def serve(connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):
            answer(connection, number)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join(60)


def always(answer: bytes) -> Callable[[socket.socket, int], None]:
    """Give each request the same answer."""

    def serve(connection: socket.socket, number: int) -> None:
        while connection.recv(65536):
            connection.sendall(answer)

    return serve


def test_the_rate_is_kept_and_every_answer_timed() -> None:
    with answering(always(RIGHT)) as port:
        result = rate.measure(port, rate=50, seconds=0.5, count=2)
    assert result["requests"] == 25
    assert result["errors"] == {}
    latency = result["latency_us"]
    assert isinstance(latency, dict)
    assert 0 < latency["p50"] <= latency["p99"] <= latency["max"]


def test_a_pause_is_charged_to_every_request_that_was_due() -> None:
    paused = threading.Event()

    def serve(connection: socket.socket, number: int) -> None:
        while connection.recv(65536):
            if number == 0 and not paused.is_set():
                paused.set()
            elif number == 0:
                threading.Event().wait(0.01)  # each answer takes 10 ms, and 400 a second are wanted
            connection.sendall(RIGHT)

    with answering(serve) as port:
        result = rate.measure(port, rate=400, seconds=0.5, count=1)
    latency = result["latency_us"]
    assert isinstance(latency, dict)
    assert latency["p50"] > 100_000  # not the 10 ms of one answer: most waited for their turn


def test_wrong_bodies_are_errors() -> None:
    with answering(always(OK + b"Hello, Nobody")) as port:
        assert rate.measure(port, rate=50, seconds=0.2, count=1)["errors"] == {"body": 10}


def test_a_server_that_hangs_up_ends_the_run() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        connection.recv(65536)
        connection.sendall(RIGHT)

    with answering(serve) as port, pytest.raises(ConnectionError):
        rate.measure(port, rate=50, seconds=0.5, count=1)


def test_connections_that_were_closed_while_idle_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        connection.recv(65536)
        connection.sendall(RIGHT)
        if number != 1:
            connection.recv(65536)
            connection.sendall(RIGHT)

    with answering(serve) as port:
        monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
        assert idle.hold(port, 3) == {"requests": 5, "errors": {"lost": 1}}


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\nHello, World!"])
def test_a_download_that_is_short_or_refused_is_an_error(answer: bytes) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with answering(serve) as port:
        assert stream.download(port, 13)["errors"] == {"body": 1}


def test_an_upload_that_was_not_counted_right_is_an_error() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        while not connection.recv(65536).endswith(b"\0"):
            pass
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7")

    with answering(serve) as port:
        assert stream.upload(port, 10)["errors"] == {"answer": 1}


def test_events_are_counted_however_they_are_cut() -> None:
    listener = sse.Listener()
    data = b"".join(b"2f\r\nid: %d\ndata: x\n\n\r\n" % number for number in range(7, 12))
    counts = [listener.feed(data[place : place + 3]) for place in range(0, len(data), 3)]
    assert sum(counts) == listener.count == 5
    assert listener.gaps() == 0


def test_a_missing_event_is_a_gap() -> None:
    listener = sse.Listener()
    listener.feed(b"id: 1\ndata: x\n\nid: 2\ndata: x\n\nid: 4\ndata: x\n\n")
    assert listener.gaps() == 1
    assert sse.Listener().gaps() == 1


def test_no_events_is_an_error() -> None:
    with answering(always(b"HTTP/1.1 503 Busy\r\n\r\n")) as port, pytest.raises(ConnectionError, match="503"):
        sse.listen(port, 0.1, 1)


def test_an_echo_that_is_not_one_is_an_error() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        while connection.recv(65536):
            connection.sendall(websocket.frame(websocket.TEXT.upper())[1])

    with answering(serve) as port:
        result = websocket.echo(port, 0.1, 1)
    assert isinstance(result["errors"], dict)
    assert result["errors"]["wrong"] > 0


def test_percentiles_are_of_the_ordered_values() -> None:
    values = [number / 1e6 for number in range(101)]
    assert percentiles(values[::-1]) == pytest.approx(
        {"p50": 50, "p90": 90, "p99": 99, "p999": 100, "max": 100}
    )
    assert percentiles([]) == {}
