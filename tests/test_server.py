"""`Server` in a program of its own: raw requests over a real socket, and a run until a signal."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pierhead import App, Request, Response, Server

app = App()


@app.get("/")
async def hello(request: Request) -> Response:
    return Response.text("hello")


def test_raw_requests_go_over_a_real_socket() -> None:
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    one, two, bad = Server(app).test([get, get + get, b"nonsense\r\n\r\n"])
    assert one.startswith(b"HTTP/1.1 200 OK\r\n")
    assert one.endswith(b"\r\n\r\nhello")
    assert two.count(b"HTTP/1.1 200 OK") == 2
    assert bad.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert Server(app).test([]) == []


def test_settings_are_checked() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        Server(app, nonsense=1)


def test_it_runs_in_one_process_until_a_signal(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfrom pierhead import App, Server\napp = App()\n"
        "app.get('/')(lambda request: 'from a program')\n"
        "sys.exit(Server(app, listen='http://127.0.0.1:0', access_log='off').run())\n"
    )
    with subprocess.Popen([sys.executable, str(program)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = int(process.stderr.readline().partition("http://127.0.0.1:")[2].split()[0])
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        assert answer.endswith(b"from a program")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize("per", ["worker", "master"])
def test_a_start_hook_that_fails_is_logged_and_ends_it(tmp_path: Path, per: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfrom pierhead import App, Server\napp = App()\n"
        f"@app.on_start(per={per!r})\ndef start(): raise RuntimeError('no database')\n"
        "sys.exit(Server(app, listen='http://127.0.0.1:0', access_log='off').run())\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "pierhead.single: the application did not start\n" in done.stderr
    assert "RuntimeError: no database" in done.stderr
