"""`pierhead top`: on a small or dumb terminal, and with intervals that cannot be."""

from __future__ import annotations

import pytest

from pierhead.cli import top
from pierhead.errors import ConfigError

STATUS = {
    "app": "shop:app",
    "listen": ["http://127.0.0.1:8080"],
    "state": "serving",
    "pid": 4711,
    "generations": [],
    "events": [{"time": "2026-11-21T08:41:21Z", "what": "ready"}],
}


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "fetch", lambda socket: STATUS)


def test_what_does_not_fit_on_the_screen_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for name, value in [("TERM", "xterm"), ("COLUMNS", "8"), ("LINES", "4")]:
        monkeypatch.setenv(name, value)
    assert top.main(["--count", "1"]) == 0
    assert capsys.readouterr().out == "\x1b[H\x1b[2Jshop:app\n\nworker  \n"


@pytest.mark.parametrize("term", ["dumb", None])
def test_a_terminal_that_cannot_be_cleared_gets_plain_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], term: str | None
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "8")
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)
    assert top.main(["--count", "1"]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert text.startswith("shop:app on http://127.0.0.1:8080: serving (master 4711)\n")
    assert text.endswith("ready\n")


@pytest.mark.parametrize("option", ["--interval=0", "--interval=nan", "--interval=inf", "--count=-1"])
def test_what_cannot_be_is_named(option: str) -> None:
    with pytest.raises(ConfigError, match=option.partition("=")[0]):
        top.main([option])
