"""The shipped files: accepted by the real programs, and agreeing with each other and with the server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stack.matrix.client import fetch
from stack.matrix.programs import PROXY, Program
from stack.ports import any_free
from tests.proxy.upstream import Upstream

CONFIGS = {
    name: "\n".join(
        path.read_text() for path in [PROXY / name / main, *sorted((PROXY / name).rglob("mixins/**/*.*"))]
    )
    for name, main in (("caddy", "Caddyfile"), ("nginx", "nginx.conf"), ("apache", "httpd.conf"))
}
APP_KEEP_ALIVE_S = 75
APP_HANDLER_S = 120
MIB = 1024 * 1024


def found(name: str, pattern: str) -> str:
    match = re.search(pattern, CONFIGS[name], re.MULTILINE)
    assert match, f"{name}: nothing matches {pattern}"
    return match[1]


async def test_the_program_accepts_its_configuration(program: type[Program], tmp_path: Path) -> None:
    code, output = await program(tmp_path, [any_free()]).validate()
    assert code == 0, output
    assert not re.search(r"\[(warn|error|emerg)\]|not formatted|AH\d+", output), output


async def test_the_program_starts_and_proxies_without_a_complaint(proxy: Program, upstream: Upstream) -> None:
    answer = await fetch(proxy.port)
    assert (answer.status, answer.body) == (200, str(upstream.port).encode())
    assert answer.all("vary") == []
    await proxy.stop()
    assert not re.search(r"\[(\w+:)?(warn|error|crit|alert|emerg)\]|\"error\"", proxy.complaints())


async def test_a_broken_piece_of_the_site_is_named(program: type[Program], tmp_path: Path) -> None:
    broken = program(tmp_path, [])
    code, output = await broken.validate()
    if broken.name == "nginx":
        assert code != 0
        assert "no servers are inside upstream" in output
    elif broken.name == "caddy":
        assert code != 0
        assert "upstreams-list" in output
    else:
        assert code == 0, output  # a balancer may be empty: requests get the error page


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("nginx", r"^ +keepalive_timeout (60)s;"),
        ("apache", r"^Define MEMBER .*\bttl=(\d+)"),
        ("caddy", r"^\t+keepalive (\d+)s"),
    ],
)
def test_idle_connections_end_before_the_application_ends_them(name: str, pattern: str) -> None:
    assert int(found(name, pattern)) < APP_KEEP_ALIVE_S


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("nginx", r"^ +proxy_read_timeout (\d+)s;"),
        ("apache", r"^ +Define ANSWER_TIMEOUT (\d+)"),
        ("caddy", r"^\t+response_header_timeout {\$CADDY_ANSWER_TIMEOUT:(\d+)s}"),
    ],
)
def test_the_application_may_give_up_first(name: str, pattern: str) -> None:
    assert int(found(name, pattern)) > APP_HANDLER_S


@pytest.mark.parametrize(
    ("name", "pattern", "unit"),
    [
        ("nginx", r"client_max_body_size (\d+)m;", MIB),
        ("apache", r"Content-Length} -gt (\d+)", 1),
        ("caddy", r"max_size (\d+)MiB", MIB),
    ],
)
def test_no_proxy_lets_through_more_than_the_application_takes(name: str, pattern: str, unit: int) -> None:
    assert int(found(name, pattern)) * unit == 128 * MIB


def test_the_error_pages_are_the_same_everywhere() -> None:
    page = found("nginx", r"^ +unavailable.html '(.*)';")
    problem = found("nginx", r"^ +default '(\{.*\})';")
    for text, times in ((page, {"caddy": 1, "apache": 3}), (problem, {"caddy": 1, "apache": 3})):
        for name, count in times.items():
            assert CONFIGS[name].replace('\\"', '"').count(text) == count, name
