"""Programs that run already: PHP by FastCGI, this server itself by FastCGI and SCGI, and broken ones."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pierhead.interfaces.gateway import FastCGIApplication, ScgiApplication
from pierhead.interfaces.gateway.upstream import Upstream
from pierhead.protocols.fastcgi import EndRequest, ProtocolStatus, RecordType, render
from pierhead.testing import Client, WebSocketRejected

DEADLINE_S = 60.0

SCRIPT = """<?php
header("X-One: 1");
header("X-Method: {$_SERVER['REQUEST_METHOD']}");
if (isset($_GET["to"])) { header("Location: " . $_GET["to"]); exit; }
if (isset($_GET["fail"])) error_log("something is wrong");
setcookie("one", "1");
echo json_encode([
    "name" => $_POST["name"] ?? null,
    "get" => $_GET,
    "size" => strlen(file_get_contents("php://input")),
    "path" => $_SERVER["PATH_INFO"] ?? "",
    "script" => $_SERVER["SCRIPT_NAME"],
    "https" => $_SERVER["HTTPS"] ?? "",
    "file" => $_FILES["file"]["size"] ?? null,
]);
"""


@pytest.fixture(scope="module")
def php(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Run PHP on a unix socket; returns its URL and the folder of its scripts."""
    program = shutil.which("php-cgi")
    assert program is not None, "php-cgi is needed"
    folder = tmp_path_factory.mktemp("php")
    root = folder / "site"
    root.mkdir()
    (root / "index.php").write_text(SCRIPT)
    (root / "other.php").write_text(
        '<?php echo "other ", $_SERVER["SCRIPT_NAME"], " ", $_SERVER["PATH_INFO"] ?? "";'
    )
    (root / "text.txt").write_text('<?php echo "must not run";')
    path = folder / "php.sock"
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, "PHP_FCGI_CHILDREN": "0"}
        process = subprocess.Popen([program, "-b", str(path)], env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not accepts(path):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield f"fastcgi://unix:{path}", root
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def accepts(path: Path) -> bool:
    """Tell whether somebody listens; the file is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@pytest.fixture
def site(php: tuple[str, Path]) -> Iterator[Client]:
    url, root = php
    with Client(FastCGIApplication(url, root=root, index="index.php", suffix=".php")) as client:
        yield client


def test_php_gets_the_request_and_answers(site: Client) -> None:
    response = site.post("/a/b?x=1", data={"name": "Ada"}, headers={"X-Forwarded-Proto": "https"})
    assert response.json() == {
        "name": "Ada",
        "get": {"x": "1"},
        "size": 8,
        "path": "/a/b",
        "script": "",
        "https": "on",
        "file": None,
    }
    assert (response.headers["X-One"], response.headers["X-Method"]) == ("1", "POST")
    assert response.headers["Set-Cookie"] == "one=1"
    assert response.headers["Content-Type"].startswith("text/html")


def test_php_gets_uploads_of_any_size(site: Client) -> None:
    response = site.post("/", data={}, files={"file": ("a", b"x" * 300_000, "text/plain")})
    assert response.json()["file"] == 300_000
    assert site.post("/", content=[b"x" * 70_000] * 3).json()["size"] == 210_000


def test_php_redirects(site: Client) -> None:
    response = site.get("/?to=/there")
    assert (response.status, response.headers["Location"]) == (302, "/there")


def test_scripts_are_found_by_their_path(site: Client) -> None:
    assert site.get("/other.php/more").text == "other /other.php /more"
    assert site.get("/text.txt").json()["path"] == "/text.txt"  # it is no script: the index answers


def test_what_php_says_about_errors_is_logged(site: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert site.get("/?fail=1").status == 200
    assert "something is wrong" in caplog.text


def test_head(site: Client) -> None:
    response = site.head("/")
    assert (response.status, response.body) == (200, b"")
    assert response.headers["X-Method"] == "HEAD"


def test_php_answers_one_request_after_the_other_on_a_kept_connection(php: tuple[str, Path]) -> None:
    url, root = php
    application = FastCGIApplication(url, root=root, index="index.php", connections=1, idle_connections=1)
    with Client(application) as client:
        assert [client.get(f"/?n={n}").json()["get"] for n in range(3)] == [{"n": f"{n}"} for n in range(3)]
        assert client.post("/", data={"name": "Ada"}).json()["name"] == "Ada"


def test_websockets_are_refused(site: Client) -> None:
    with pytest.raises(WebSocketRejected):
        site.websocket("/").__enter__()


# Programs that do what they should not


@contextlib.contextmanager
def upstream(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen, and give each connection to `answer`; returns host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(DEADLINE_S)


def record(kind: RecordType, content: bytes = b"") -> bytes:
    return render(kind, 1, content)


def end(status: ProtocolStatus = ProtocolStatus.REQUEST_COMPLETE, code: int = 0) -> bytes:
    return record(RecordType.END_REQUEST, EndRequest(status, code).encode())


FINE = record(RecordType.STDOUT, b"Content-Type: a/b\r\n\r\nfine")


@pytest.mark.parametrize(
    ("output", "status", "said"),
    [
        (FINE + end(), 200, ""),
        (
            record(RecordType.STDOUT, b"Content-Type:") + record(RecordType.STDOUT, b" a/b\n\nfine") + end(),
            200,
            "",
        ),
        (
            record(RecordType.UNKNOWN_TYPE, b"x" * 8)
            + render(RecordType.STDOUT, 7, b"not this")
            + FINE
            + end(),
            200,
            "",
        ),
        (FINE + end(code=3), 200, "exited with 3"),
        (record(RecordType.STDERR, b"oh dear\n") + FINE + end(), 200, "oh dear"),
        (end(ProtocolStatus.OVERLOADED), 503, "it is overloaded"),
        (end(ProtocolStatus.CANT_MPX_CONN), 502, "one request at a time"),
        (end(ProtocolStatus.UNKNOWN_ROLE), 502, "no responder"),
        (end(), 502, "it wrote nothing"),
        (b"", 502, "closed the connection before"),
        (record(RecordType.STDOUT, b"Content-Type: a/b"), 502, "closed the connection before"),
        (b"HTTP/1.1 200 OK\r\n\r\n", 502, "does not speak FastCGI"),
        (record(RecordType.END_REQUEST, b"short"), 502, "does not speak FastCGI"),
    ],
)
def test_what_a_fastcgi_program_answers(
    output: bytes, status: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(output)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):  # what is not read when it closes would make the end a reset
            pass

    with upstream(answer) as address, Client(FastCGIApplication(f"fastcgi://{address}")) as client:
        response = client.get("/")
    assert response.status == status
    assert said in caplog.text
    if status == 200:
        assert response.body == b"fine"
    if status == 503:
        assert response.headers["Retry-After"] == "1"


def test_what_an_scgi_program_gets_and_answers() -> None:
    got: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        data = b""
        while not data.endswith(b"hello"):
            data += connection.recv(65536)
        got.append(data)
        connection.sendall(b"Status: 201 Made\r\nContent-Type: a/b\r\n\r\nmade")

    with upstream(answer) as address, Client(ScgiApplication(f"scgi://{address}")) as client:
        response = client.post("/x", content=b"hello")
    assert (response.status, response.body) == (201, b"made")
    length, _, rest = got[0].partition(b":")
    head, body = rest[: int(length)], rest[int(length) :]
    fields = head.split(b"\0")
    assert fields[:4] == [b"CONTENT_LENGTH", b"5", b"SCGI", b"1"]
    assert fields[fields.index(b"PATH_INFO") + 1] == b"/x"
    assert body == b",hello"


@pytest.mark.parametrize("kind", [FastCGIApplication, ScgiApplication])
def test_a_program_that_is_silent_is_given_up(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    left = threading.Event()

    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass
        left.set()

    with upstream(silent) as address, Client(kind(f"x://{address}", timeout_s=0.3)) as client:
        assert client.get("/").status == 504
        assert left.wait(DEADLINE_S)
    assert "it wrote nothing for 0.3 s" in caplog.text


@pytest.mark.parametrize("kind", [FastCGIApplication, ScgiApplication])
def test_a_program_that_is_not_there(kind: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Client(kind(f"x://unix:{tmp_path / 'missing.sock'}", connections=1)) as client:
        assert client.get("/").status == 502
        assert client.get("/").status == 502  # the one connection was given back
    assert "cannot connect to x://unix:" in caplog.text


@pytest.mark.parametrize(
    "url",
    ["fastcgi://", "fastcgi://host", "fastcgi://host:x", "fastcgi://unix:app.sock", "fastcgi://h:1/path"],
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="is like fastcgi://"):
        Upstream.parse(url)
