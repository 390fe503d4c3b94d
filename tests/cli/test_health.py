from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pierhead.cli import main

Answer = Callable[[socket.socket, bytes], list[bytes]]


@pytest.fixture
def answer() -> Iterator[Answer]:
    """Answer one connection on a listener with bytes; returns a list that gets the request."""
    threads: list[threading.Thread] = []
    listeners: list[socket.socket] = []

    def start(listener: socket.socket, response: bytes) -> list[bytes]:
        seen: list[bytes] = []
        listener.listen()
        listener.settimeout(60)
        listeners.append(listener)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(60)
                seen.append(connection.recv(65536))
                if response:
                    connection.sendall(response)
                else:
                    connection.recv(1)  # until the client gives up

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return seen

    yield start
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.close()


def tcp() -> tuple[socket.socket, str]:
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_healthy_server_is_0(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    listener, url = tcp()
    seen = answer(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert main(["health", url]) == 0
    assert seen[0].startswith(b"GET /healthz HTTP/1.1\r\n")
    assert capsys.readouterr().out == f"{url}: 200 OK\n"


def test_a_server_that_leaves_is_1(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    listener, url = tcp()
    seen = answer(listener, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    assert main(["health", f"{url}/readyz?deep=1"]) == 1
    assert seen[0].startswith(b"GET /readyz?deep=1 HTTP/1.1\r\n")
    assert capsys.readouterr().err == f"{url}/readyz?deep=1: 503 Service Unavailable\n"


@pytest.mark.parametrize(("suffix", "target"), [("", b"/healthz"), (":/readyz", b"/readyz")])
def test_a_unix_socket_is_asked(answer: Answer, folder: Path, suffix: str, target: bytes) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(folder / "s"))
    seen = answer(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert main(["health", f"http://unix:{folder}/s{suffix}"]) == 0
    assert seen[0].startswith(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n")


def test_nobody_there_is_1_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listener, url = tcp()
    listener.close()
    assert main(["health", url]) == 1
    assert capsys.readouterr().err == f"{url}: Connection refused\n"
    assert main(["health", f"http://unix:{folder}/s"]) == 1
    assert capsys.readouterr().err == f"http://unix:{folder}/s: No such file or directory\n"


@pytest.mark.parametrize(
    ("response", "timeout_s", "reason"),
    [(b"", "0.2", "timed out"), (b"SSH-2.0\r\n", "60", "no HTTP response: SSH-2.0")],
)
def test_no_http_answer_is_1(
    answer: Answer, response: bytes, timeout_s: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    listener, url = tcp()
    answer(listener, response)
    assert main(["health", url, "--timeout", timeout_s]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x/", "http://", "http://x:y/", "http://x/ä"])
def test_what_is_no_url_is_wrong_usage(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", url]) == 2
    assert f"{url!r} is no URL to ask" in capsys.readouterr().err


def test_it_loads_little_as_it_is_run_every_few_seconds() -> None:
    code = (
        "import sys; from pierhead.cli import main\n"
        "main(['health', 'http://127.0.0.1:9/']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert not {"importlib.metadata", "difflib"} & set(loaded)
    assert {name for name in loaded if name.startswith("pierhead.")} == {
        "pierhead.cli", "pierhead.cli.health", "pierhead.cli.parser", "pierhead.errors"
    }  # fmt: skip
