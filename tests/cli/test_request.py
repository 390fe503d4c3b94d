from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pierhead.cli import main


def body(capture: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capture.readouterr().out.partition("\n\n")[2])


def test_the_whole_response_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["request", "stall:app", "GET", "/user/2"]) == 0
    head, _, content = capsys.readouterr().out.partition("\n\n")
    assert head.splitlines()[0] == "HTTP/1.1 200 OK"
    assert "Content-Type: application/json" in head
    assert content == '{"id":2,"query":[]}'


def test_pairs_are_the_query_of_get(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["request", "stall:app", "get", "/user/1?a=0", "a=1", "b=x=ä &"]) == 0
    assert body(capsys)["query"] == [["a", "0"], ["a", "1"], ["b", "x=ä &"]]


def test_pairs_are_the_form_of_post_and_options_may_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["request", "stall:app", "POST", "/echo", "--host", "x", "name=Ada", "name=Bob"]) == 0
    found = body(capsys)
    assert found["kind"] == "application/x-www-form-urlencoded"
    assert found["body"] == [["name", "Ada"], ["name", "Bob"]]


def test_json_is_the_body_and_pairs_the_query(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["request", "stall:app", "PUT", "/echo", "dry=1", "--json", '{"ä": 1}']) == 0
    assert body(capsys) == {"kind": "application/json", "body": {"ä": 1}, "query": [["dry", "1"]]}


def test_json_is_sent_as_it_is() -> None:
    assert main(["request", "stall:app", "PUT", "/echo", "--json", "{"]) == 4


def test_who_asks_and_how_can_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--https", "--host", "stall.example", "--remote-addr", "2001:db8::1", "--user", "ada:se:cret"]
    options += ["--cookie", "a=1", "--cookie", "b=2", "--header", "X-One: 1", "--header", "X-One:2"]
    assert main(["request", *options, "stall:app", "GET", "/facts"]) == 0
    assert body(capsys) == {
        "scheme": "https",
        "host": "stall.example",
        "client": "2001:db8::1",
        "cookies": {"a": "1", "b": "2"},
        "user": ["ada", "se:cret"],
        "headers": ["1", "2"],
    }


def test_the_body_is_printed_byte_for_byte() -> None:
    command = [sys.executable, "-P", "-m", "pierhead", "request", "stall:app", "GET", "/bytes"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.startswith(b"HTTP/1.1 200 OK\n")
    assert done.stdout.endswith(b"\n\n" + bytes(range(256)))
    assert done.stderr == b""


def test_the_exit_code_tells_errors_apart(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["request", "stall:app", "GET", "/missing"]) == 4
    assert capsys.readouterr().out.startswith("HTTP/1.1 404 Not Found\n")
    assert main(["request", "stall:app", "GET", "/broken"]) == 5
    assert capsys.readouterr().out.startswith("HTTP/1.1 500 Internal Server Error\n")
    assert "this one is broken" in caplog.text


def test_the_settings_are_those_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIERHEAD_MAX_BODY_BYTES", "3")
    assert main(["request", "stall:app", "POST", "/echo", "a=1"]) == 0
    assert main(["request", "stall:app", "POST", "/echo", "a=12"]) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["GET", "user/1"], "did you mean '/user/1'?"),
        (["GET", "/", "a"], "'a' is not understood: write name=value"),
        (["GET", "/", "--header", "X"], "write --header 'Name: value'"),
        (["GET", "/", "--header", "X: ä"], "not ASCII"),
        (["GET", "/", "--header", "X: a\nb: c"], "such a request cannot be sent"),
        (["GET", "/", "--cookie", "a"], "write --cookie name=value"),
        (["GET", "/", "--user", "ada"], "write --user name:password"),
        (["GET", "/", "--remote-addr", "here"], "use an address such as"),
        (["G T", "/"], "such a request cannot be sent"),
        (["GET", "/", "--heder", "X: 1"], "did you mean --header?"),
    ],
)
def test_wrong_usage_exits_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["request", "stall:app", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""


def test_an_application_that_does_not_load_or_start_exits_with_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["request", "stall:application", "GET", "/"]) == 3
    assert "it has: app" in capsys.readouterr().err
    (folder / "failing.py").write_text(
        "from pierhead import App\napp = App('failing')\n"
        "@app.on_start\nasync def start():\n    raise OSError('no database')\n"
    )
    assert main(["request", "failing:app", "GET", "/"]) == 3
    error = capsys.readouterr().err
    assert "the application failing did not start: OSError: no database" in error
    assert "Traceback" not in error


def test_modules_beside_the_application_come_first(folder: Path) -> None:
    (folder / "iniconfig.py").write_text("here = True\n")
    (folder / "beside.py").write_text("import iniconfig\nassert iniconfig.here\nfrom stall import app\n")
    (folder / "elsewhere").mkdir()
    command = [sys.executable, "-P", "-m", "pierhead", "request", "beside:app", "GET", "/user/1"]
    subprocess.run(
        [*command, "--app-dir", ".."],
        cwd=folder / "elsewhere",
        env=os.environ,
        check=True,
        capture_output=True,
    )


def test_uploads_are_a_form_with_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "uploads.py").write_text("""
from pierhead import App
app = App()
@app.post("/")
async def take(request):
    form = await request.form()
    files = [[name, one.filename, str(one.content_type), one.size] for name, one in form.files.items()]
    return {"fields": list(form.items()), "files": files}
""")
    (tmp_path / "pier.txt").write_text("wood")
    (tmp_path / 'a "b".bin').write_text("rope!")
    command = ["request", "uploads:app", "POST", "/", "title=Pier"]
    assert main([*command, "--upload", "photo=@pier.txt", "--upload", 'photo=@a "b".bin']) == 0
    found = body(capsys)
    assert found["fields"] == [["title", "Pier"]]
    assert found["files"] == [
        ["photo", "pier.txt", "text/plain; charset=utf-8", 4],
        ["photo", 'a "b".bin', "application/octet-stream", 5],
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--upload", "photo"], "write --upload name=@file"),
        (["--upload", "photo=@missing"], "missing cannot be read: No such file"),
        (["--upload", "photo=@stall.py", "--json", "{}"], "leave one of them out"),
        (["--session", "stall.py"], "is no file of cookies"),
    ],
)
def test_what_is_wrong_with_them(capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    assert main(["request", "stall:app", "POST", "/echo", *options]) == 2
    assert said in capsys.readouterr().err


def test_a_session_is_kept_in_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "login.py").write_text("""
from pierhead import App, Response
app = App()
@app.post("/login")
async def login(request):
    response = Response.text("welcome")
    response.set_cookie("user", "ada")
    return response
@app.get("/me")
async def me(request):
    return request.headers.getlist("Cookie")
""")
    session = ["--session", "ada.json"]
    assert main(["request", "login:app", "GET", "/me", *session]) == 0
    assert body(capsys) == []
    assert main(["request", "login:app", "POST", "/login", *session]) == 0
    capsys.readouterr()
    assert main(["request", "login:app", "GET", "/me", *session]) == 0
    assert body(capsys) == ["user=ada"]
    assert main(["request", "login:app", "GET", "/me", *session, "--cookie", "a=1", "--cookie", "b=2"]) == 0
    assert body(capsys) == ["a=1; b=2; user=ada"]
    assert (tmp_path / "ada.json").stat().st_mode & 0o777 == 0o600


def test_the_response_can_be_printed_as_by_a_cgi_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["request", "stall:app", "GET", "/missing", "--cgi"]) == 4
    out = capsys.readouterr().out
    assert out.startswith("Status: 404 Not Found\nContent-Type: application/problem+json\n")


def test_the_request_can_be_shown_as_it_was_seen(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--dump", "--https", "--host", "stall.example", "--header", "X-One: 1"]
    assert main(["request", "stall:app", "POST", "/echo", "name=Ada", "password=x", *options]) == 0
    out = capsys.readouterr().out
    assert out.startswith("POST /echo HTTP/1.1\n")
    for line in ("https://stall.example/echo", "X-One: 1", "name", "password"):
        assert line in out
    assert "HTTP/1.1 200" not in out
    assert main(["request", "stall:app", "GET", "/healthz", "--dump"]) == 0
    assert capsys.readouterr().out == "(the server answered by itself)\n"


WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REQUEST_METHOD"].encode()]
"""
ASGI = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": scope["method"].encode()})
"""


@pytest.mark.parametrize("text", [WSGI, ASGI])
@pytest.mark.parametrize("interface", [[], ["--interface", "auto"]])
def test_applications_of_other_kinds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, interface: list[str]
) -> None:
    (tmp_path / "other.py").write_text(text)
    assert main(["request", "other.py:app", "PUT", "/", *interface]) == 0
    assert capsys.readouterr().out.endswith("\n\nPUT")
    assert main(["request", "other.py:app", "PUT", "/x", "a=1", "--dump", *interface]) == 0
    assert capsys.readouterr().out.startswith("PUT /x HTTP/1.1\n")


def test_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    program = tmp_path / "hello.cgi"
    program.write_text('#!/bin/sh\nprintf "Status: 404 No\\n\\nhello $QUERY_STRING"\n')
    program.chmod(0o755)
    assert main(["request", "program:hello.cgi", "GET", "/", "a=1"]) == 4
    assert capsys.readouterr().out.endswith("\n\nhello a=1")


def test_programs_that_run_already(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    assert main(["request", f"fastcgi://unix:{tmp_path}/none", "GET", "/", "--cgi"]) == 5
    assert capsys.readouterr().out.startswith("Status: 502 Bad Gateway\n")
    assert f"cannot connect to fastcgi://unix:{tmp_path}/none" in caplog.text
