"""Every request of the contract through the real nginx, Apache and Caddy, with the shipped files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.applications import INTERFACES
from tests.contract.check import Contract
from tests.contract.ways import Way, http_way
from tests.contract.webservers import DIFFERENCES, SERVERS, open_folder, running, unavailable, validated

PARAMETERS = [
    pytest.param(name, marks=[pytest.mark.apache] if server.program == "apache" else [])
    for name, server in SERVERS.items()
]


@pytest.fixture(scope="module", params=PARAMETERS)
def webserver(request: pytest.FixtureRequest, contract: Contract) -> Iterator[tuple[str, Way]]:
    """Run one web server in front of the application."""
    name: str = request.param
    server = SERVERS[name]
    if reason := unavailable(server):
        pytest.skip(reason)
    serving = contract.serving
    with open_folder() as folder, running(server, folder, serving.ports, serving.upstreams) as listening:
        # By CGI each request starts a process: those may share the processors.
        yield name, http_way(listening, at_once=4 if server.protocol == "cgi" else 1)


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_answers_are_the_same(contract: Contract, webserver: tuple[str, Way], interface: str) -> None:
    name, way = webserver
    contract.check(name, way, interface, leave_out=DIFFERENCES.get(name, {}))


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_shipped_file_is_valid(name: str) -> None:
    server = SERVERS[name]
    if reason := unavailable(server):
        pytest.skip(reason)
    with open_folder() as folder:
        done = validated(server, folder)
    assert done.returncode == 0, done.stdout + done.stderr
