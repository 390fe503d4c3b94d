"""Listeners of every protocol in real processes, across reloads; and sockets that are inherited."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.wire import (
    Ask,
    cgi_answer,
    fastcgi_answer,
    fastcgi_request,
    http_answer,
    http_request,
    scgi_request,
)
from tests.supervisor.harness import APP, Pierhead, eventually


def exchange(client: socket.socket, request: bytes) -> bytes:
    with client:
        client.settimeout(60)
        client.sendall(request)
        answer = bytearray()
        while piece := client.recv(65536):
            answer += piece
    return bytes(answer)


@pytest.mark.skipif(sys.platform != "linux", reason="unix sockets without a file are Linux's")
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_web_servers_are_answered_before_and_after_a_reload(tmp_path: Path, loop: str) -> None:
    path = tmp_path / "scgi.sock"
    abstract = f"@{tmp_path}/http"
    urls = ["fastcgi://127.0.0.1:0", f"scgi://unix:{path}", f"http://unix:{abstract}"]
    options = [*(word for url in urls for word in ("--listen", url)), "--loop", loop]
    with Pierhead(tmp_path, *options) as server:
        match = re.search(r"fastcgi://127\.0\.0\.1:([0-9]+)", server.log)
        assert match is not None, server.log

        def versions() -> list[bytes]:
            tcp = socket.create_connection(("127.0.0.1", int(match[1])))
            unix = socket.socket(socket.AF_UNIX)
            unix.connect(str(path))
            without_file = socket.socket(socket.AF_UNIX)
            without_file.connect(abstract.replace("@", "\0"))
            answers = [
                fastcgi_answer(exchange(tcp, fastcgi_request(Ask()))),
                cgi_answer(exchange(unix, scgi_request(Ask()))),
                http_answer(exchange(without_file, http_request(Ask(fields=[("Connection", "close")])))),
            ]
            return [answer.body.partition(b",")[0] for answer in answers]

        assert versions() == [b'{"version":"one"'] * 3
        server.write(APP, one="two")
        server.signal(signal.SIGHUP)
        server.wait_for_log("generation 2 serves on")
        # The generation before accepts until it hears of the new one.
        eventually(lambda: versions() == [b'{"version":"two"'] * 3, "the new code answers")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert not path.exists()


def test_an_inherited_socket_is_served(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        fd = listening.fileno()
        command = [sys.executable, "-P", "-m", "pierhead", "run", "app:app", "--workers", "1"]
        with subprocess.Popen(
            [*command, "--listen", f"fastcgi://fd:{fd}", "--access-log", "off"],
            cwd=tmp_path,
            pass_fds=[fd],
            stderr=subprocess.PIPE,
        ) as process:
            try:
                assert process.stderr is not None
                line = b""
                while b"ready on" not in line:
                    line = process.stderr.readline()
                    assert line
                assert f"ready on fastcgi://127.0.0.1:{port}".encode() in line
                client = socket.create_connection(("127.0.0.1", port))
                assert fastcgi_answer(exchange(client, fastcgi_request(Ask()))).status == 200
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            finally:
                process.kill()
