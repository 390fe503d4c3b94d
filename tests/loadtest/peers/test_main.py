"""`./kit peers`: arguments, turns, progress, interruptions, and what is written. No server runs here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest import machine, tools
from loadtest.machine import Cpu
from loadtest.peers import main as program
from loadtest.peers.catalogue import PEERS, Peer, PeerError
from loadtest.peers.scenarios import SCENARIOS, Measurement


class Fakes:
    """Servers that are all here, and scenarios that note who was measured."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.answer: Callable[[str, str], Measurement] = lambda scenario, peer: Measurement(
            100.0, Cpu(0.01, 0.01), amount=1000, client_cpu=0.5
        )
        self.absent: dict[str, str] = {}
        self.cores = [0, 1]
        scenarios = [dataclasses.replace(one, measure=self.measure_of(one.name)) for one in SCENARIOS]
        monkeypatch.setattr(program, "SCENARIOS", scenarios)
        monkeypatch.setattr(Peer, "missing", lambda peer: self.absent.get(peer.name))
        monkeypatch.setattr(Peer, "version", lambda peer: "1.0")
        monkeypatch.setattr(tools, "missing", lambda tool: None)
        monkeypatch.setattr(tools, "version", lambda tool: "wrk 4.1 [epoll]")
        monkeypatch.setattr(machine, "cores", lambda: self.cores)

    def measure_of(self, name: str) -> Callable[..., Measurement]:
        def measure(peer: Peer, plan: Any, known: dict[str, float]) -> Measurement:
            self.calls.append(f"{name} {peer.name}")
            return self.answer(name, peer.name)

        return measure


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    return Fakes(monkeypatch)


def run(tmp_path: Path, *argv: str) -> tuple[int, dict[str, Any]]:
    """Run the command; return its exit code and its results."""
    file = tmp_path / "made" / "results.json"
    code = program.main([*argv, "--json", str(file)])
    return code, json.loads(file.read_text())


def test_servers_take_turns_in_each_round(fakes: Fakes, tmp_path: Path) -> None:
    code, document = run(tmp_path, "--peers", "uvicorn,nginx", "--scenario", "minimal", "--rounds", "2")
    assert code == 0
    assert fakes.calls == ["minimal pierhead", "minimal uvicorn", "minimal nginx"] * 2
    assert [one["round"] for one in document["measurements"]] == [1, 1, 1, 2, 2, 2]
    assert document["complete"] is True
    assert document["summary"]["minimal"]["nginx"]["ratio"]["median"] == 1.0


def test_every_server_meets_the_scenarios_that_it_can_do(fakes: Fakes, tmp_path: Path) -> None:
    run(tmp_path, "--scenario", "all", "--quick")
    assert "websocket uvicorn" in fakes.calls
    assert "websocket nginx" not in fakes.calls
    assert {call.split()[1] for call in fakes.calls} == {peer.name for peer in PEERS}


def test_the_line_that_repeats_a_run_names_all_that_matters(fakes: Fakes, tmp_path: Path) -> None:
    _, document = run(tmp_path, "--peers", "uvicorn", "--quick")
    assert document["command"] == (
        "./kit peers --peers pierhead,uvicorn --scenario minimal,realistic"
        " --rounds 1 --seconds 1 --connections 64 --quick"
    )
    assert str(tmp_path) not in json.dumps(document)


def test_progress_says_what_it_is_at_and_how_long_it_takes(
    fakes: Fakes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--peers", "uvicorn", "--scenario", "minimal", "--rounds", "1")
    output = capsys.readouterr().out
    assert "2 measurements, about 0:13 min" in output
    assert "[1/2] round 1: minimal pierhead: 100 requests/s, 20.0 µs CPU each (0:00 min left)" in output


def test_a_server_that_fails_is_invalid_and_the_others_go_on(
    fakes: Fakes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(scenario: str, peer: str) -> Measurement:
        if peer == "uvicorn":
            raise PeerError("uvicorn ended; it said:\nboom")
        return Measurement(100.0, amount=1)

    fakes.answer = answer
    code, document = run(tmp_path, "--peers", "uvicorn,nginx", "--scenario", "minimal", "--rounds", "1")
    assert code == 1
    assert [one["valid"] for one in document["measurements"]] == [True, False, True]
    assert "uvicorn: invalid, errors: server 1: uvicorn ended" in capsys.readouterr().out


def test_what_is_not_installed_is_left_out_with_the_reason(
    fakes: Fakes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.absent = {"socketify": "socketify is not installed"}
    code, document = run(tmp_path, "--scenario", "minimal", "--rounds", "1")
    assert code == 0
    assert document["skipped"] == {"socketify": "socketify is not installed"}
    assert "without socketify: socketify is not installed" in capsys.readouterr().out


def test_two_workers_need_three_cores(fakes: Fakes, tmp_path: Path) -> None:
    _, document = run(tmp_path, "--peers", "uvicorn", "--scenario", "minimal,workers", "--rounds", "1")
    assert document["skipped"] == {"workers": "it needs three cores, and here are 2"}
    assert "workers pierhead" not in fakes.calls
    fakes.cores = [0, 1, 2]
    run(tmp_path, "--peers", "uvicorn", "--scenario", "minimal,workers", "--rounds", "1")
    assert "workers pierhead" in fakes.calls


def test_without_cores_to_choose_it_says_not_pinned(
    fakes: Fakes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.cores = [0]
    _, document = run(tmp_path, "--peers", "uvicorn", "--scenario", "minimal", "--rounds", "1")
    assert document["placement"] == {"pinned": False, "server_cores": [], "load_cores": []}
    assert capsys.readouterr().out.count("not pinned") == 2


def test_an_interrupted_run_reports_what_it_has(fakes: Fakes, tmp_path: Path) -> None:
    def answer(scenario: str, peer: str) -> Measurement:
        if peer == "nginx":
            raise KeyboardInterrupt
        return Measurement(100.0, amount=1)

    fakes.answer = answer
    code, document = run(tmp_path, "--peers", "uvicorn,nginx", "--scenario", "minimal", "--rounds", "1")
    assert code == 130
    assert document["complete"] is False
    assert [one["server"] for one in document["measurements"]] == ["pierhead", "uvicorn"]


def test_results_are_shown_again_and_put_into_a_page(
    fakes: Fakes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--peers", "uvicorn", "--scenario", "minimal", "--rounds", "1")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- peers: begin -->\nold\n<!-- peers: end -->\nafter\n")
    fakes.calls.clear()
    file = str(tmp_path / "made" / "results.json")
    assert program.main(["--show", file, "--docs", str(page)]) == 0
    assert fakes.calls == []
    text = page.read_text()
    assert text.startswith("before\n<!-- peers: begin -->\n\n### Minimal GET")
    assert text.endswith("\n<!-- peers: end -->\nafter\n")
    assert "old" not in text
    assert "1.00 (1.00-1.00)" in capsys.readouterr().out


def test_a_page_without_marks_is_left_alone(
    fakes: Fakes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "--peers", "uvicorn", "--scenario", "minimal", "--rounds", "1")
    page = tmp_path / "page.md"
    page.write_text("mine")
    assert program.main(["--show", str(tmp_path / "made" / "results.json"), "--docs", str(page)]) == 1
    assert page.read_text() == "mine"
    assert "has no lines <!-- peers: begin -->" in capsys.readouterr().err


def test_without_wrk_there_is_nothing_to_run(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tools, "missing", lambda tool: "wrk is not installed (package wrk)")
    assert program.main(["--quick"]) == 1
    assert "package wrk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--rounds", "51"], "--rounds must be from 1 to 50"),
        (["--seconds", "-1"], "--seconds must be from 1 to 60"),
        (["--scenario", "fast"], "no scenario fast; there are: minimal, realistic"),
        (["--peers", "apache"], "there is no peer apache; there are: pierhead, pierhead-asgi"),
    ],
)
def test_bad_arguments_are_named(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(argv) == 2
    assert message in capsys.readouterr().err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--help"]) == 0
    assert "--quick" in capsys.readouterr().out
