"""The runner of documentation finds out when a document promises what does not happen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.readme import ReadmeError, commands, matches, run_readme

SERVER = """import http.server, os
assert os.environ["PIERHEAD_LISTEN"] == "http://127.0.0.1:0"
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
"""


def document(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "README.md"
    path.write_text(text)
    return path


def test_a_document_becomes_commands_with_their_output() -> None:
    found = list(commands("Text\n\n```console\n$ echo a \\\n    b\na b\n\n$ true\n```\n\n```sh\n$ no\n```\n"))
    assert [(one.line, one.text, one.output) for one in found] == [
        (4, "echo a \\\n    b", "a b"),
        (8, "true", None),
    ]


@pytest.mark.parametrize(
    ("promised", "happened", "right"),
    [
        ("a", "a\n", True),
        ("a", "b\n", False),
        ("a", "a\nb\n", False),
        ('{"id":...,"name":"Ada"}', '{"id":12,"name":"Ada"}\n', True),
        ("HTTP/1.1 200 OK\n...\nlast", "HTTP/1.1 200 OK\r\ndate: now\r\n\r\nlast\n", True),
        ("first\n...", "first\n", True),
        ("first\n...", "second\nfirst\n", False),
        ("a.c", "abc\n", False),
    ],
)
def test_output_is_compared_with_dots_for_anything(promised: str, happened: str, right: bool) -> None:
    assert matches(promised, happened) is right


def test_commands_share_one_shell(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = document(
        tmp_path,
        "```console\n$ cd inner; WORD=hello\n```\n```console\n$ echo $WORD; pwd\nhello\n.../inner\n```",
    )
    assert len(run_readme(path, cwd=tmp_path)) == 2


def test_a_wrong_promise_is_shown_with_its_line(tmp_path: Path) -> None:
    path = document(tmp_path, "# Title\n\n```console\n$ echo yes\nno\n```\n")
    with pytest.raises(ReadmeError, match=r"README.md:4: \$ echo yes\npromised:\nno\nhappened:\nyes"):
        run_readme(path, cwd=tmp_path)


def test_a_command_that_fails_is_shown_with_its_exit_code(tmp_path: Path) -> None:
    path = document(tmp_path, "```console\n$ echo why; exit_code() { return 3; }; exit_code\n```\n")
    with pytest.raises(ReadmeError, match=r"exit code 3:\nwhy"):
        run_readme(path, cwd=tmp_path)


def test_a_server_gets_a_port_of_its_own_which_replaces_the_documented_one(tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text(SERVER)
    path = document(
        tmp_path,
        f"```console server\n$ {sys.executable} serve.py\n```\n"
        "```console\n$ curl -s http://127.0.0.1:8080/README.md | tail -n 1\nthe end\n```\n\nthe end\n",
    )
    assert [one.server for one in run_readme(path, cwd=tmp_path)] == [True, False]


def test_a_server_that_does_not_start_is_an_error_with_its_output(tmp_path: Path) -> None:
    path = document(tmp_path, "```console server\n$ echo no such app >&2\n```\n")
    with pytest.raises(ReadmeError, match=r"did not start:\nno such app"):
        run_readme(path, cwd=tmp_path)
