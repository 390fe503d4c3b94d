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
    assert main(["request", "shop:app", "GET", "/user/2"]) == 0
    head, _, content = capsys.readouterr().out.partition("\n\n")
    assert head.splitlines()[0] == "HTTP/1.1 200 OK"
    assert "Content-Type: application/json" in head
    assert content == '{"id":2,"query":[]}'


def test_pairs_are_the_query_of_get(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["request", "shop:app", "get", "/user/1?a=0", "a=1", "b=x=ä &"]) == 0
    assert body(capsys)["query"] == [["a", "0"], ["a", "1"], ["b", "x=ä &"]]


def test_pairs_are_the_form_of_post_and_options_may_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["request", "shop:app", "POST", "/echo", "--host", "x", "name=Ada", "name=Bob"]) == 0
    found = body(capsys)
    assert found["kind"] == "application/x-www-form-urlencoded"
    assert found["body"] == [["name", "Ada"], ["name", "Bob"]]


def test_json_is_the_body_and_pairs_the_query(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["request", "shop:app", "PUT", "/echo", "dry=1", "--json", '{"ä": 1}']) == 0
    assert body(capsys) == {"kind": "application/json", "body": {"ä": 1}, "query": [["dry", "1"]]}


def test_json_is_sent_as_it_is() -> None:
    assert main(["request", "shop:app", "PUT", "/echo", "--json", "{"]) == 4


def test_who_asks_and_how_can_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--https", "--host", "shop.example", "--remote-addr", "2001:db8::1", "--user", "ada:se:cret"]
    options += ["--cookie", "a=1", "--cookie", "b=2", "--header", "X-One: 1", "--header", "X-One:2"]
    assert main(["request", *options, "shop:app", "GET", "/facts"]) == 0
    assert body(capsys) == {
        "scheme": "https",
        "host": "shop.example",
        "client": "2001:db8::1",
        "cookies": {"a": "1", "b": "2"},
        "user": ["ada", "se:cret"],
        "headers": ["1", "2"],
    }


def test_the_body_is_printed_byte_for_byte() -> None:
    command = [sys.executable, "-P", "-m", "pierhead", "request", "shop:app", "GET", "/bytes"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.startswith(b"HTTP/1.1 200 OK\n")
    assert done.stdout.endswith(b"\n\n" + bytes(range(256)))
    assert done.stderr == b""


def test_the_exit_code_tells_errors_apart(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["request", "shop:app", "GET", "/missing"]) == 4
    assert capsys.readouterr().out.startswith("HTTP/1.1 404 Not Found\n")
    assert main(["request", "shop:app", "GET", "/broken"]) == 5
    assert capsys.readouterr().out.startswith("HTTP/1.1 500 Internal Server Error\n")
    assert "this one is broken" in caplog.text


def test_the_settings_are_those_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIERHEAD_MAX_BODY_BYTES", "3")
    assert main(["request", "shop:app", "POST", "/echo", "a=1"]) == 0
    assert main(["request", "shop:app", "POST", "/echo", "a=12"]) == 4


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
    assert main(["request", "shop:app", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""


def test_an_application_that_does_not_load_or_start_exits_with_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["request", "shop:application", "GET", "/"]) == 3
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
    (folder / "beside.py").write_text("import iniconfig\nassert iniconfig.here\nfrom shop import app\n")
    (folder / "elsewhere").mkdir()
    command = [sys.executable, "-P", "-m", "pierhead", "request", "beside:app", "GET", "/user/1"]
    subprocess.run(
        [*command, "--app-dir", ".."],
        cwd=folder / "elsewhere",
        env=os.environ,
        check=True,
        capture_output=True,
    )
