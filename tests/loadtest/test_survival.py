"""./kit faults: the figures of this server, and how they are shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.survival.main import BEGIN, END, include, main, markdown, shown


def test_the_figures_of_this_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    chosen = ["--servers", "pierhead", "--faults", "kill,reload,work", "--seconds", "20"]
    assert main([*chosen, "--json", str(file), "--docs", str(page)]) == 0
    (figures,) = json.loads(file.read_text()).values()
    assert figures["kill"]["failed"] <= 4
    assert figures["kill"]["recovered s"] is not None
    assert figures["reload"]["failed"] == 0
    assert figures["work"] == {
        "cut": 0, "late ones cut": 0, "WebSocket's code": 1001, "ended s": figures["work"]["ended s"]
    }  # fmt: skip
    assert figures["work"]["ended s"] is not None
    assert not any("answers afterwards" in one for one in figures.values())
    assert "| SIGTERM, 10 requests in progress, WebSockets open | cut 0, " in page.read_text()
    assert "a worker is killed under load: failed" in capsys.readouterr().out


def test_bad_arguments_and_pages_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--faults", "nothing"]) == 2
    assert "there are: balance,kill" in capsys.readouterr().err
    assert main(["--servers", "nothing"]) == 2
    assert "there are: pierhead, uvicorn" in capsys.readouterr().err
    page = tmp_path / "page.md"
    page.write_text("no marks\n")
    with pytest.raises(ValueError, match="has no lines"):
        include(page, "")


def test_what_never_happened_is_said() -> None:
    table = markdown({"one": {"kill": {"failed": 3.0, "recovered s": None}}})
    assert "| a worker is killed under load | failed 3, recovered s never |" in table
    assert [shown(value) for value in (0.0, 1.234, 123.4)] == ["0", "1.2", "123"]
