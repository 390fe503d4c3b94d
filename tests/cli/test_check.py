from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pierhead.cli import main
from pierhead.config import Settings, load_configuration


def values(output: str) -> dict[str, tuple[str, str]]:
    """Name → (value, source) of the lines that `pierhead check` prints."""
    found = {}
    for line in output.splitlines():
        if " = " in line and not line.startswith("#"):
            name, _, rest = line.partition(" = ")
            value, _, source = rest.rpartition("  # ")
            found[name.strip()] = (value.strip(), source)
    return found


def test_each_value_is_shown_with_its_source(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pierhead.toml").write_text('max_body_bytes = "1MiB"\nworkers = 3\nthreads = 7\n')
    monkeypatch.setenv("PIERHEAD_WORKERS", "4")
    monkeypatch.setenv("PIERHEAD_THREADS", "8")
    assert main(["check", "--threads", "9"]) == 0
    shown = values(capsys.readouterr().out)
    assert shown["max_body_bytes"] == ('"1MiB"', "pierhead.toml")
    assert shown["workers"] == ("4", "PIERHEAD_WORKERS")
    assert shown["threads"] == ("9", "--threads")
    assert shown["keep_alive_timeout_s"] == ('"75s"', "default")
    assert list(shown) == list(Settings.__dataclass_fields__)


def test_what_is_shown_can_be_used_as_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--umask", "027", "--handler-timeout-s", "0", "--head-timeout-s", "250ms", "--reload"]
    options += ["--listen", "http://127.0.0.1:0", "--listen", "http://unix:/tmp/x.sock?mode=600"]
    options += ["--trusted-proxies", "", "--max-line-bytes", "1001", "--spool-dir", "/tmp", "--workers", "5"]
    assert main(["check", "stall:app", "--server-header", "", *options]) == 0
    shown = capsys.readouterr().out
    tomllib.loads(shown)
    (folder / "copy.toml").write_text(shown)
    copied = load_configuration(file="copy.toml").settings
    assert copied == Settings(
        app="stall:app",
        umask=0o027,
        handler_timeout_s=0.0,
        head_timeout_s=0.25,
        reload=True,
        listen=("http://127.0.0.1:0", "http://unix:/tmp/x.sock?mode=600"),
        trusted_proxies=(),
        max_line_bytes=1001,
        spool_dir="/tmp",
        workers=5,
        server_header="",
    )


def test_the_routes_of_the_application_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "stall:make", "--factory"]) == 0
    lines = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert lines[0] == "# stall:make, in the order in which it is asked"
    assert lines[1].split()[1:4] == ["GET", "/user/{id:int}", "stall.show"]
    assert lines[2].split()[1:3] == ["POST,PUT", "/echo"]


def test_what_is_isolated_is_marked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "apart.py").write_text(
        "from pierhead import App\n"
        "app = App()\n"
        "@app.get('/own', isolation='process')\n"
        "async def own(request): ...\n"
        "@app.get('/shared')\n"
        "async def shared(request): ...\n"
        "@app.endpoint(priority=-1, isolation='process')\n"
        "async def last(request): ...\n"
    )
    assert main(["check", "apart:app"]) == 0
    lines = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert {line.split()[2]: line.split()[-1] == "isolated" for line in lines[1:]} == {
        "/own": True,
        "/shared": False,
        "*": True,
    }
    assert main(["check", "apart:app", "--isolation", "process"]) == 0
    head = capsys.readouterr().out.split("\n\n")[1].splitlines()[0]
    assert head.startswith("# apart:app (isolated: each request in a process of its own), in the order")


def test_the_application_is_found_in_app_dir(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert main(["check", "stall:app", "--app-dir", ".."]) == 0
    assert "/echo" in capsys.readouterr().out


def test_wrong_values_exit_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--listen", "127.0.0.1:80"]) == 2
    assert "--listen = '127.0.0.1:80': use http://" in capsys.readouterr().err
    monkeypatch.setenv("PIERHEAD_WORKERS", "two")
    assert main(["check"]) == 2
    assert capsys.readouterr().err == "pierhead: PIERHEAD_WORKERS = 'two': use a whole number\n"
    assert main(["check", "--config", "missing.toml"]) == 2
    assert "missing.toml" in capsys.readouterr().err


def test_a_variable_that_is_nearly_a_setting_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIERHEAD_WORKER", "2")
    assert main(["check"]) == 0
    assert "did you mean PIERHEAD_WORKERS?" in capsys.readouterr().err


def test_an_application_that_does_not_load_exits_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "stal:app"]) == 3
    error = capsys.readouterr().err
    assert "did you mean 'stall'?" in error
    assert "Traceback" not in error
