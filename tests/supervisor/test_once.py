"""Processes for one connection: on pipes, files and sockets, by HTTP and by CGI."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.wire import Answer, Ask, cgi_answer, http_answer, http_request, variables

APP = """
import asyncio, sys
from pierhead import App, Request, Response

print("imported")
app = App()

@app.get("/")
async def hello(request: Request) -> Response:
    print("asked")
    return Response.json({"root": request.root_path, "client": request.client, "stdin": sys.stdin.read()})

@app.post("/")
async def echo(request: Request) -> Response:
    return Response.stream(request.stream(), content_type="text/plain")

@app.get("/wait")
async def wait(request: Request) -> Response:
    print("waiting", file=sys.stderr, flush=True)
    await asyncio.sleep(0.2)
    return Response.text("done")
"""
SCRIPT = (
    APP
    + """
if __name__ == "__main__":
    from pierhead.server import Server
    sys.exit(Server(app).run())
"""
)
RUN = [sys.executable, "-P", "-m", "pierhead", "run", "app:app"]
STDIO = [*RUN, "--listen", "stdio:"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def environment(ask: Ask) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return inherited | variables(ask)


def by_cgi(folder: Path, ask: Ask, *command: str, more: bytes = b"") -> Answer:
    done = subprocess.run(
        command or RUN,
        cwd=folder,
        env=environment(ask),
        input=ask.body + more,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return cgi_answer(done.stdout, ask.method)


def test_a_connection_on_pipes(folder: Path) -> None:
    both = http_request(Ask()) + http_request(
        Ask("POST", body=b"x" * 300_000, fields=[("Connection", "close")])
    )
    done = subprocess.run(STDIO, cwd=folder, input=both, capture_output=True, check=True, timeout=60)
    first, _, second = done.stdout.rpartition(b"HTTP/1.1 200 OK\r\n")
    assert b'"stdin":""' in http_answer(first).body
    assert http_answer(b"HTTP/1.1 200 OK\r\n" + second).body == b"x" * 300_000
    assert done.stderr.count(b"imported") == done.stderr.count(b"asked") == 1


def test_a_connection_on_files(folder: Path) -> None:
    (folder / "request").write_bytes(http_request(Ask()))
    with (folder / "request").open("rb") as request, (folder / "response").open("wb") as response:
        subprocess.run(STDIO, cwd=folder, stdin=request, stdout=response, check=True, timeout=60)
    assert http_answer((folder / "response").read_bytes()).status == 200


def test_an_accepted_connection_as_of_inetd(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname(), 60)
        accepted, peer = listening.accept()
    with client, accepted:
        process = subprocess.Popen(STDIO, cwd=folder, stdin=accepted.fileno(), stdout=accepted.fileno())
        accepted.close()
        client.sendall(http_request(Ask(fields=[("Connection", "close")])))
        answer = bytearray()
        while piece := client.recv(65536):
            answer += piece
    assert process.wait(60) == 0
    assert f'"client":["127.0.0.1",{peer[1]}]' in http_answer(bytes(answer)).body.decode()


def test_a_stop_waits_for_the_response(folder: Path) -> None:
    with running(folder, STDIO) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(http_request(Ask(target="/wait")))
        process.stdin.flush()
        while b"waiting" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        answer = http_answer(process.stdout.read())
        assert (answer.body, answer.one("Connection")) == (b"done", "close")
        assert process.wait(60) == 0


def test_a_reader_that_left_ends_the_process(folder: Path) -> None:
    with running(folder, STDIO) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.write(http_request(Ask()))
        process.stdin.flush()
        assert process.wait(60) == 0


def test_a_request_by_cgi(folder: Path) -> None:
    split = {"SCRIPT_NAME": "/app.cgi", "PATH_INFO": "/"}
    answer = by_cgi(folder, Ask(target="/app.cgi/", variables=split))
    assert answer.body == b'{"root":"/app.cgi","client":["192.0.2.7",50123],"stdin":""}'
    assert answer.one("Content-Type") == "application/json"


def test_a_body_by_cgi_is_as_long_as_announced(folder: Path) -> None:
    split = {"SCRIPT_NAME": "/app.cgi", "PATH_INFO": ""}
    ask = Ask("POST", "/app.cgi", body=b"a" * 200_000, variables=split)
    assert by_cgi(folder, ask, more=b"and more").body == b"a" * 200_000


def test_a_script_of_its_own_answers_by_cgi(folder: Path) -> None:
    split = {"SCRIPT_NAME": "/script.py", "PATH_INFO": "/"}
    answer = by_cgi(folder, Ask(target="/script.py/", variables=split), sys.executable, "script.py")
    assert answer.status == 200


def test_a_request_by_cgi_that_the_gate_refuses(folder: Path) -> None:
    answer = by_cgi(folder, Ask(target="/%zz", variables={"SCRIPT_NAME": ""}))
    assert answer.status == 400


def test_a_process_by_cgi_does_not_wait_for_the_end_of_standard_input(folder: Path) -> None:
    with running(folder, RUN, environment(Ask(variables={"SCRIPT_NAME": ""}))) as process:
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [("import nothing", b"cannot serve app:app"), ("@app.on_start\nasync def f(): 1/0\n", b"did not start")],
)
def test_an_application_that_does_not_start_says_so_and_answers_nothing(
    folder: Path, code: str, reason: bytes
) -> None:
    (folder / "app.py").write_text(APP + code)
    done = subprocess.run(STDIO, cwd=folder, input=b"", capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (3, b"")
    assert reason in done.stderr


def test_a_listener_that_is_set_makes_it_a_server(folder: Path) -> None:
    command = [*RUN, "--listen", "http://127.0.0.1:0", "--workers", "1"]
    with running(folder, command, environment(Ask())) as process:
        assert process.stderr is not None
        line = b""
        while b"ready on" not in line:
            line = process.stderr.readline()
            assert line
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@contextlib.contextmanager
def running(
    folder: Path, command: list[str], env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=env, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close() if process.stdin is not None else None


def test_a_program_for_one_request_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import sys
from pierhead import Server

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": "\\n".join(sys.modules).encode()})

sys.exit(Server(app).run())
""")
    imported = set(by_cgi(tmp_path, Ask(), sys.executable, "-P", str(script)).body.decode().split())

    assert "pierhead.transports.server" in imported
    assert not imported & {
        "difflib", "email.utils", "h11", "pierhead.app", "pierhead.config.sources",
        "pierhead.interfaces.native", "pierhead.interfaces.wsgi", "pierhead.protocols.fastcgi",
        "pierhead.supervisor.worker", "tomllib", "uuid", "uvloop", "wsproto",
    }  # fmt: skip
