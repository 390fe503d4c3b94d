"""Programs by CGI: what they are told, what becomes of what they write, and of those that fail."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pierhead.interfaces.gateway import ProgramApplication
from pierhead.testing import Client, WebSocketRejected

DEADLINE_S = 60.0
PLAIN = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n"
DUMP = """#!/usr/bin/perl
use strict;
my $length = $ENV{CONTENT_LENGTH} || 0;
read(STDIN, my $body, $length);
print "Content-Type: text/plain\\r\\n\\r\\n";
print "$_=$ENV{$_}\\n" for sort keys %ENV;
print "body=$body\\n";
"""

Make = Callable[..., Path]


@pytest.fixture
def program(tmp_path: Path) -> Make:
    """Make a program of its text."""

    def make(text: str, name: str = "program.cgi", *, executable: bool = True) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if executable else 0o644)
        return file

    return make


def client(path: Path, **options: Any) -> Client:
    return Client(ProgramApplication(path, **options))


def test_what_it_is_told(program: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example")
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    file = program(DUMP)
    headers = {"Proxy": "http://evil.example", "X-One": "1", "Content-Type": "text/plain", "Host": "shop:81"}
    with client(file, variables={"SHOP": "open"}) as served:
        response = served.post("/a%20b?q=1", content=b"hello", headers=headers)
    found = dict(line.split("=", 1) for line in response.text.splitlines() if "=" in line)
    expected = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "q=1",
        "CONTENT_LENGTH": "5",
        "CONTENT_TYPE": "text/plain",
        "SERVER_NAME": "shop",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_ONE": "1",
        "SCRIPT_FILENAME": str(file),
        "SHOP": "open",
        "body": "hello",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert not {"HTTP_PROXY", "DATABASE_PASSWORD", "HTTP_CONTENT_TYPE"} & found.keys()
    assert found["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("size", [0, 100, 500_000])
def test_the_body_is_its_standard_input(program: Make, size: int) -> None:
    content = b"x" * size
    with client(program(PLAIN + "cat\n")) as served:
        assert served.post("/", content=[content] if size else b"").body == content


@pytest.mark.parametrize(
    ("output", "status", "headers", "body"),
    [
        ("Content-Type: text/plain\\nX-A: 1\\nX-A: 2\\n\\nhi", 200, {"X-A": "1, 2"}, b"hi"),
        ("Status: 404 Nothing\\r\\nContent-Type: text/plain\\r\\n\\r\\nhi", 404, {}, b"hi"),
        ("Status: 204\\n\\n", 204, {}, b""),
        ("Location: https://a.example/b\\n\\n", 302, {"Location": "https://a.example/b"}, b""),
        ("Status: 303 See\\nLocation: /b\\n\\n", 303, {"Location": "/b"}, b""),
        ("Content-Type: a/b\\nContent-Length: 2\\n\\nhi", 200, {"Content-Length": "2"}, b"hi"),
        ("Content-Type: a/b\\nConnection: close\\nTransfer-Encoding: chunked\\n\\nhi", 200, {}, b"hi"),
        ("Content-Type: a/b\\n\\n", 200, {}, b""),
    ],
)
def test_what_it_writes(
    program: Make, output: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    with client(program(f"#!/bin/sh\nprintf '{output}'\n")) as served:
        response = served.get("/")
        head = served.head("/")
    assert (response.status, response.body) == (status, body)
    assert (head.status, head.body) == (status, b"")
    for name, value in headers.items():
        assert response.headers[name] == value
        assert head.headers[name] == value
    assert "Connection" not in response.headers


def test_a_local_redirect_is_answered_by_the_server(program: Make) -> None:
    script = program(
        "#!/bin/sh\n"
        'if [ "$PATH_INFO" = /there ]; then\n'
        '  printf "Content-Type: text/plain\\n\\n$REQUEST_METHOD $QUERY_STRING ${CONTENT_LENGTH-none}"\n'
        'elif [ "$PATH_INFO" = /circle ]; then printf "Location: /circle\\n\\n"\n'
        'else printf "Location: /there?a=1\\n\\n"; fi\n'
    )
    with client(script) as served:
        assert served.post("/here", content=b"x").text == "GET a=1 none"
        assert served.get("/circle").status == 502


def test_the_output_is_streamed(program: Make, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    file = program(PLAIN + f"echo one; read line <{go}; echo two\n")
    with client(file) as served, served.stream("GET", "/") as response:
        pieces = iter(response)
        assert next(pieces) == b"one\n"
        go.write_text("on\n")
        assert b"".join(pieces) == b"two\n"


def test_a_program_whose_name_begins_with_nph_writes_a_whole_response(program: Make, tmp_path: Path) -> None:
    text = "#!/bin/sh\nprintf 'HTTP/1.1 201 Made\\r\\nContent-Type: text/plain\\r\\n\\r\\nmade'\n"
    program(text, "cgi/nph-make")
    program(text, "cgi/make")
    with client(tmp_path / "cgi") as served:
        response = served.get("/nph-make")
        assert (response.status, response.text) == (201, "made")
        assert served.get("/make").status == 502


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("#!/bin/sh\necho 'this is no header'\n\n", 502, "it ended before its header fields were complete"),
        (
            "#!/bin/sh\nprintf 'this is no header\\n\\n'\n",
            502,
            "b'this is no header' instead of a header field",
        ),
        ("#!/bin/sh\nprintf '\\nhello'\n", 502, "it wrote no header fields, but an empty line"),
        ("#!/bin/sh\nprintf 'X-One: 1\\n\\nhello'\n", 502, "none of Content-Type, Location and Status"),
        ("#!/bin/sh\nprintf 'Status: fine\\n\\n'\n", 502, "not like '200 OK'"),
        ("#!/bin/sh\nprintf 'Status: 101 Switch\\n\\n'\n", 502, "not like '200 OK'"),
        ("#!/bin/sh\nprintf 'Location: nowhere\\n\\n'\n", 502, "neither a path nor a URL"),
        ("#!/bin/sh\nprintf 'A B: x\\n\\n'\n", 502, "instead of a header field"),
        (
            "#!/bin/sh\nwhile :; do printf 'X-Long: 0123456789012345678901234567890123456789\\n'; done\n",
            502,
            "longer than",
        ),
        ("#!/bin/sh\nkill -SEGV $$\n", 502, "was killed by SIGSEGV"),
        ("#!/bin/sh\nexit 3\n", 502, "exited with 3"),
        ("#!/nowhere/interpreter\n", 500, "or its interpreter"),
        ("no program at all", 500, "cannot be started"),
    ],
)
def test_a_program_that_fails(
    program: Make, caplog: pytest.LogCaptureFixture, text: str, status: int, said: str
) -> None:
    with client(program(text)) as served:
        response = served.get("/")
    assert response.status == status
    assert said in caplog.text
    assert said not in response.text


def test_a_program_that_is_missing_or_not_executable(program: Make, caplog: pytest.LogCaptureFixture) -> None:
    file = program(PLAIN, executable=False)
    with client(file) as served:
        assert served.get("/").status == 500
        assert "chmod +x" in caplog.text
        file.unlink()
        assert served.get("/").status == 500


def test_a_program_that_hangs(program: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with client(program(f"#!/bin/sh\necho $$ >{pid}\nsleep 1000\n"), timeout_s=5) as served:
        assert served.get("/").status == 504
    assert "it wrote nothing for 5 s" in caplog.text
    wait_for_end(int(pid.read_text()))


def test_a_program_that_is_killed_in_its_body_cuts_the_connection(
    program: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with client(program(PLAIN + "echo half; kill -KILL $$\n")) as served, pytest.raises(ConnectionError):
        served.get("/")
    assert "was killed by SIGKILL" in str(caplog.records[-1].exc_info)


def test_exit_codes_and_standard_error_are_logged(program: Make, caplog: pytest.LogCaptureFixture) -> None:
    with client(program(PLAIN + "echo fine; echo 'not so fine' >&2; exit 3\n")) as served:
        assert served.get("/").text == "fine\n"
    assert "program.cgi: not so fine" in caplog.text
    assert "exited with 3" in caplog.text


def test_a_client_that_leaves_ends_the_program_and_its_children(program: Make, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    text = PLAIN + f"sleep 1000 & echo $! >{pid}; echo started; wait\n"
    with client(program(text)) as served:
        with served.stream("GET", "/") as response:
            assert next(iter(response)) == b"started\n"
        wait_for_end(int(pid.read_text()))


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    """Tell whether a process runs: one that ended may wait for somebody to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_only_so_many_run_at_a_time(program: Make) -> None:
    with client(program(PLAIN + "echo $$\n"), processes=1) as served:
        assert len({served.get("/").text for _ in range(3)}) == 3


def test_a_folder_of_programs(program: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program(
        '#!/bin/sh\nprintf "Content-Type: a/b\\n\\n$SCRIPT_NAME|$PATH_INFO|$DOCUMENT_ROOT"\n', "cgi/sub/show"
    )
    program(PLAIN, "cgi/plain", executable=False)
    program(PLAIN, "cgi/.hidden")
    program(PLAIN, "outside")
    (tmp_path / "cgi" / "link").symlink_to(tmp_path / "outside")
    with client(tmp_path / "cgi") as served:
        assert served.get("/sub/show").text == f"/sub/show||{tmp_path / 'cgi'}"
        assert served.get("/sub/show/a%20b").text == f"/sub/show|/a b|{tmp_path / 'cgi'}"
        assert served.get("/plain").status == 403
        for path in ("/", "/sub", "/missing", "/.hidden", "/link", "/sub/../outside", "/%2e%2e/outside"):
            assert served.get(path).status == 404, path
    assert "is not executable: chmod +x" in caplog.text


def test_a_path_that_leads_out_of_the_folder_is_not_translated(program: Make, tmp_path: Path) -> None:
    program('#!/bin/sh\nprintf "Content-Type: a/b\n\n$PATH_TRANSLATED"\n', "cgi/show")
    with client(tmp_path / "cgi") as served:
        assert served.get("/show/a/b").text == f"{tmp_path / 'cgi'}/a/b"
        for path in ("/../outside", "/a/%2e%2e/%2E%2e/outside", "/a/..%2f..%2foutside", "/a/./b"):
            assert served.get(f"/show{path}").text == "", path


def test_an_interpreter_may_run_it(program: Make) -> None:
    file = program(
        'import os\nprint("Content-Type: a/b\\n")\nprint(os.environ["PATH_INFO"])\n', executable=False
    )
    with client(file, arguments=["/usr/bin/env", "python3"]) as served:
        assert served.get("/x").text == "/x\n"


def test_websockets_are_refused(program: Make) -> None:
    with client(program(PLAIN)) as served, pytest.raises(WebSocketRejected) as rejected:
        served.websocket("/").__enter__()
    assert rejected.value.response.status == 501
    assert json.loads(rejected.value.response.body)["status"] == 501
