"""The examples run on other servers as they do on Pierhead, and are measured beside it."""

from __future__ import annotations

import pytest

from loadtest import bench, others
from loadtest.peers.catalogue import Peer
from loadtest.scenario import load_all
from loadtest.targets import Target, TargetError, probe_record
from stack.application import application
from stack.state import State
from tests.kit import Kit
from tests.loadtest.test_bench import nothing


def test_the_examples_give_the_same_answers_on_another_server(
    stack_kit: Kit,
) -> None:
    stack = stack_kit.status()
    database = stack["db"]["url"]
    env = dict(application(State(stack_kit.state), 0, 0, database).env)
    with others.serving(["uvicorn"], env, workers=1) as served:
        there, here = Target("uvicorn", served["uvicorn"]["url"]), Target("direct", stack["app"]["url"])
        with probe_record(here) as record:
            for scenario in load_all().values():
                scenario.prove(there, record)


def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Peer(
        "uvicorn", "uvicorn", "uvicorn", "ASGI", lambda *_: ["python3", "-c", "exit('no database')"]
    )
    monkeypatch.setattr(others, "PEERS", [broken])
    with (
        pytest.raises(TargetError, match=r"do not run on uvicorn; it said:\nno database"),
        others.serving(["uvicorn"], {}, workers=1),
    ):
        pytest.fail("it does not run")


def test_a_server_that_there_is_not_is_named() -> None:
    with pytest.raises(
        TargetError, match=r"--peers nginx: no such server; there are: pierhead-asgi, uvicorn"
    ):
        others.chosen(["nginx"])


def test_what_all_have_in_common_need_not_be_said() -> None:
    chosen = others.chosen(["granian", "gunicorn-asgi"])
    assert [peer.name for peer in chosen] == ["granian-asgi", "gunicorn-asgi"]


def test_other_servers_need_the_stacks_database(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--quick", "--peers", "uvicorn"], nothing) == 1
    assert "--peers needs the database of a stack of ./kit" in capsys.readouterr().err
