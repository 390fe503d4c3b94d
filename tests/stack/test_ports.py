"""Ports: what --ports means, which ones are chosen, and who holds a taken one."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator

import pytest

from stack import ports
from stack.errors import KitError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_names_and_auto_may_be_mixed() -> None:
    assert ports.parse(["auto"]) == (True, {})
    assert ports.parse(["caddy=8181,db=5555"]) == (False, {"caddy": 8181, "db": 5555})
    assert ports.parse(["auto", "nginx=80"]) == (True, {"nginx": 80})


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lighttpd=80", "there is no 'lighttpd'; there are: app, app2, caddy"),
        ("8080", "neither auto nor NAME=PORT"),
        ("db=0", "'0' is not a port; it must be a number from 1 to 65535"),
        ("db=65536", "'65536' is not a port"),
        ("db=+1", "is not a port"),
        ("db=²", "is not a port"),
        ("db=5555,caddy=5555", "5555 is given to another one already"),
    ],
)
def test_a_bad_word_is_named(word: str, message: str) -> None:
    with pytest.raises(KitError, match="--ports") as caught:
        ports.parse([word])
    assert message in str(caught.value)


def test_defaults_are_used_when_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "free", lambda port: True)
    assert ports.choose(ports.DEFAULTS, auto=False, chosen={}) == (ports.DEFAULTS, [])


def test_a_taken_default_gives_the_next_free_one_and_names_the_holder(
    monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    monkeypatch.setitem(ports.DEFAULTS, "app", taken)
    chosen, remarks = ports.choose(["app"], auto=False, chosen={})
    assert chosen["app"] > taken
    assert ports.free(chosen["app"])
    [remark] = remarks
    assert remark.startswith(f"app: port {taken} is taken by ")
    assert remark.endswith(f"; using {chosen['app']}")


def test_the_next_free_one_is_not_the_default_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "free", lambda port: port != 8080)
    chosen, _ = ports.choose(["app", "caddy", "nginx", "apache"], auto=False, chosen={})
    assert chosen == {"app": 8084, "caddy": 8081, "nginx": 8082, "apache": 8083}


def test_a_taken_port_that_was_asked_for_is_an_error(taken: int) -> None:
    with pytest.raises(KitError, match=f"port {taken} for caddy is taken by .*python"):
        ports.choose(["caddy"], auto=False, chosen={"caddy": taken})


def test_auto_chooses_different_ports_outside_the_local_range() -> None:
    chosen, remarks = ports.choose(ports.DEFAULTS, auto=True, chosen={"db": 1})
    assert remarks == []
    assert len(set(chosen.values())) == len(ports.DEFAULTS)
    assert all(port in ports.AUTO_RANGE for name, port in chosen.items() if name != "db")


def test_the_holder_may_be_another_process() -> None:
    code = (
        "import socket as s, sys; l = s.create_server(('', 0)); print(l.getsockname()[1]); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        assert not ports.free(port)
        assert f"(pid {child.pid})" in ports.holder(port)
        child.communicate()
    assert ports.free(port)
    assert ports.holder(port) == "another program"


def test_without_proc_lsof_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    (folder / "lsof").write_text("#!/bin/sh\nprintf 'p123\\ncnginx\\nf6\\n'\n")
    (folder / "lsof").chmod(0o755)
    monkeypatch.setattr(ports, "HAS_PROC", False)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    assert ports.holder(80) == "nginx (pid 123)"


def test_the_range_to_choose_from_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ports.RANGE, "21000-21019")
    chosen, _ = ports.choose(ports.DEFAULTS, auto=True, chosen={})
    assert all(port in range(21000, 21020) for port in chosen.values())


@pytest.mark.parametrize("text", ["21000", "21000-", "-21000", "2-1", "80-90", "1024-65536", "a-b", "²-³"])
def test_a_range_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(ports.RANGE, text)
    with pytest.raises(KitError, match=r"KIT_PORT_RANGE=.* LOW-HIGH, such as 20000-21999"):
        ports.choose(["app"], auto=True, chosen={})


def test_a_port_that_was_given_is_not_given_again_though_nobody_listens_there_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ports.RANGE, "21000-21010")
    monkeypatch.setattr(ports, "free", lambda port: port != 21003)
    monkeypatch.setattr(ports, "given", deque(maxlen=200))
    assert len({ports.any_free() for _ in range(10)}) == 10
    with pytest.raises(KitError, match="no free port"):
        ports.any_free()
