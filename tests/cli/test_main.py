from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys

import pytest

from pierhead.cli import COMMANDS, main
from pierhead.config import Settings


def test_version_is_the_distributions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = {"pierhead": "1.2.3"}
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "pierhead 1.2.3\n"


def test_version_of_a_source_tree_is_not_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "pierhead (not installed, run from its source)\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: pierhead {command} ")


def test_help_names_the_commands_and_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"pierhead {command}" in shown for command in COMMANDS)
    assert main([]) == 2
    assert capsys.readouterr().err == shown


@pytest.mark.parametrize(("wrong", "fix"), [("chekc", "did you mean check?"), ("x", "there are: run, check")])
def test_an_unknown_command_says_which_there_are(
    wrong: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([wrong]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"pierhead: there is no command '{wrong}'")
    assert fix in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--worker", "2"], r"there is no option --worker; did you mean --workers\?"),
        (
            ["--port", "8000"],
            r"there is no option --port; the address is one: --listen http://127\.0\.0\.1:8000$",
        ),
        (["--zzz"], r"there is no option --zzz$"),
        (["a:b", "c:d"], r"one argument too many: c:d"),
        (["--workers"], r"argument --workers: expected one argument"),
    ],
)
def test_wrong_options_are_named_in_two_lines(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *arguments]) == 2
    usage, error = capsys.readouterr().err.splitlines()
    assert usage == "usage: pierhead run [module:app] [option ...]"
    assert re.search(message, error)


def test_run_needs_an_application(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 2
    assert "pierhead run module:app" in capsys.readouterr().err


def test_run_hands_the_settings_to_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def run(settings: Settings) -> int:
        seen.append(settings)
        return 3

    monkeypatch.setattr("pierhead.supervisor.run", run)
    options = ["--no-date-header", "--trusted-proxies", "10.0.0.0/8,private", "--drain-timeout-s", "1.5m"]
    assert main(["run", "--workers", "2", "stall:app", *options]) == 3
    (settings,) = seen
    assert (settings.app, settings.workers, settings.date_header) == ("stall:app", 2, False)
    assert (settings.trusted_proxies, settings.drain_timeout_s) == (("10.0.0.0/8", "private"), 90.0)


def test_a_reader_that_leaves_is_no_traceback() -> None:
    command = [sys.executable, "-P", "-m", "pierhead", "check"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1
