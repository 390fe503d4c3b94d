"""`./kit matrix`, as it is used: its options, its exit code, and that nothing of it stays."""

from __future__ import annotations

import json

import pytest

from stack.errors import KitError
from stack.matrix import command
from stack.matrix.check import Check
from stack.matrix.options import parser
from stack.matrix.target import Target
from stack.state import State
from tests.kit import Kit, eventually


def test_the_checks_are_listed(kit: Kit) -> None:
    listed = kit("matrix", "--list", "--check", "sse-").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["sse-browser"]
    assert "Accept-Encoding" in listed[0]


def test_one_check_of_one_proxy(kit: Kit) -> None:
    output = kit(
        "matrix", "--proxy", "nginx", "--proxy", "direct", "--check", "server-field", "--replicas", "1"
    ).stdout
    assert "2 cells: 1 pass, 1 differ as documented (docs/matrix.md), 0 fail" in output
    result = json.loads((kit.state / "matrix.json").read_text())
    assert {cell["target"]: cell["outcome"] for cell in result["cells"]} == {
        "direct": "the application's",
        "nginx": "nginx",
    }
    assert kit.left_over() == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--check", "nonsense"], "no check has nonsense in its name"),
        (["--docs", "--proxy", "nginx"], "--docs needs the whole matrix"),
        (["--check", "spread", "--replicas", "1", "--proxy", "direct"], "none of these checks applies"),
    ],
)
def test_what_cannot_be_is_said(kit: Kit, argv: list[str], message: str) -> None:
    with pytest.raises(KitError, match=message):
        command.main(State(kit.state), parser().parse_args(argv))


def test_a_failing_cell_makes_the_exit_code(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def wrong(target: Target) -> str:
        return str((await target.fetch("/nowhere")).status)

    monkeypatch.setattr(command, "CHECKS", {"wrong": Check("wrong", "Group", "about", "200", wrong)})
    options = parser().parse_args(["--proxy", "direct", "--replicas", "1"])
    assert command.main(State(kit.state), options) == 1
    assert "FAIL wrong direct/1: 404" in capsys.readouterr().out


@pytest.mark.parametrize("number", [2, 15], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_it_stops_every_process(kit: Kit, number: int) -> None:
    kit.start_in_foreground("matrix", "--proxy", "nginx", "--proxy", "caddy", "--check", "slow-head")
    eventually(lambda: any("Caddyfile" in one for one in kit.left_over()), "Caddy runs")
    kit.interrupt(number)
    assert kit.exit_code() == 130
    eventually(lambda: kit.left_over() == [], "no process is left")
