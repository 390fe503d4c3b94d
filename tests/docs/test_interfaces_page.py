"""docs/interfaces.md: its files are written, its commands run, its table is that of the settings.

`python -m tests.docs.test_interfaces_page` writes the table anew.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pierhead.cli import main
from pierhead.config.apps import AppSettings, parse_apps, read_toml
from pierhead.config.settings import knobs
from pierhead.config.values import format_value

PAGE = Path(__file__).parents[2] / "docs" / "interfaces.md"
TABLE = re.compile(
    r"(<!-- settings of an application -->\n).*?(<!-- end of settings of an application -->)", re.DOTALL
)
FILE = re.compile(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ pierhead (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def table() -> str:
    """Render the settings of an application as a Markdown table."""
    lines = ["| setting | default | what it is |", "| --- | --- | --- |"]
    for knob in knobs(AppSettings).values():
        choices = f" ({', '.join(knob.choices)})" if knob.choices else ""
        lines.append(f"| `{knob.name}` | {format_value(knob, knob.default)} | {knob.help}{choices} |")
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path, modules = sys.path[:], set(sys.modules)
    for name, text in FILE.findall(PAGE.read_text(encoding="utf-8")):
        file = tmp_path / name
        file.write_text(text)
        file.chmod(0o755 if name.endswith(".cgi") else 0o644)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("hello_"):
            del sys.modules[name]


def test_the_commands_print_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        command
        for block in CONSOLE.findall(PAGE.read_text(encoding="utf-8"))
        for command in COMMAND.findall(block)
    ]
    assert len(commands) == 5
    for command, expected in commands:
        assert main(shlex.split(command)) == 0, command
        printed = capsys.readouterr().out.rstrip("\n") + "\n"
        begin, end = expected.split("...\n")
        assert printed.startswith(begin), command
        assert printed.endswith("\n\n" + end), command


def test_the_tables_of_applications_are_valid(folder: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        file = folder / "checked.toml"
        file.write_text(block)
        assert parse_apps(read_toml(file)["apps"], file)


def test_the_example_of_the_client_runs(folder: Path) -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## Testing")[2]
    [block] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    namespace: dict[str, object] = {}
    exec((folder / "hello_wsgi.py").read_text(), namespace)
    exec(compile(block, str(PAGE), "exec"), namespace)


def test_the_table_of_settings_is_complete() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert TABLE.sub(lambda match: match[1] + table() + match[2], page) == page


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda match: match[1] + table() + match[2], PAGE.read_text(encoding="utf-8")))
