"""Every request of the contract through the real nginx, Apache and Caddy, with the shipped files."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.applications import INTERFACES
from tests.contract.check import Contract
from tests.contract.ways import Way, http_way
from tests.contract.webservers import DIFFERENCES, SAME, SERVERS, open_folder, running, unavailable, validated

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
    contract.check(name, way, interface, DIFFERENCES.get(name, SAME))


def test_events_pass_at_once(webserver: tuple[str, Way]) -> None:
    with tempfile.TemporaryDirectory(prefix="pierhead-events-") as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "last"
        with socket.create_connection(("127.0.0.1", webserver[1].port), 60) as client:
            request = f"GET /events?until={file} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            client.sendall(request.encode())
            answer = bytearray()
            while b"data: first\n\n" not in answer:
                piece = client.recv(65536)
                assert piece, "the response ended before its first event"
                answer += piece
            assert b"data: last" not in answer
            file.touch()
            while piece := client.recv(65536):
                answer += piece
    assert b"data: last\n\n" in answer


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_shipped_file_is_valid(name: str) -> None:
    server = SERVERS[name]
    if reason := unavailable(server):
        pytest.skip(reason)
    with open_folder() as folder:
        done = validated(server, folder)
    assert done.returncode == 0, done.stdout + done.stderr
