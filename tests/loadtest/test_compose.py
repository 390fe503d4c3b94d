"""Which containers are started for a run, and which are taken down after it."""

from __future__ import annotations

from typing import Any

import pytest

from loadtest import compose
from loadtest.compose import SERVICES, containers
from loadtest.targets import TargetError


class Docker:
    """Stands in for docker: `up` are the services that run."""

    def __init__(self, *up: str) -> None:
        self.up = set(up)
        self.calls: list[str] = []

    def __call__(self, *words: str, timeout_s: float = 0) -> str:
        if words[1] in ("up", "down", "rm"):
            self.calls.append(" ".join(words[1:]))
        if words[1] == "up":
            self.up = set(SERVICES)
        return ""


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    docker = Docker()
    monkeypatch.setattr(compose, "docker", docker)
    monkeypatch.setattr(compose, "running", lambda: {name: [{}] for name in docker.up})
    monkeypatch.setattr(compose, "subject", lambda found: sorted(found))
    return docker


def test_a_stack_that_is_down_is_started_and_taken_down(docker: Docker) -> None:
    with containers() as subject:
        found: Any = subject
        assert found == sorted(SERVICES)
    assert docker.calls == ["up --wait --build --no-recreate db app caddy nginx apache", "down"]


def test_a_stack_that_is_up_is_left_alone(docker: Docker) -> None:
    docker.up = set(SERVICES)
    with containers():
        pass
    assert docker.calls == []


def test_only_what_was_missing_is_taken_down(docker: Docker) -> None:
    docker.up = {"db", "app", "nginx"}
    with containers():
        pass
    assert docker.calls[-1] == "rm --stop --force caddy apache"


def test_it_is_taken_down_after_a_failure_too(docker: Docker) -> None:
    with pytest.raises(KeyboardInterrupt), containers():
        raise KeyboardInterrupt
    assert docker.calls[-1] == "down"


def test_without_docker_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TargetError, match="docker is not installed"), containers():
        pytest.fail("there is nothing")


def container() -> dict[str, Any]:
    return {
        "Id": "0123456789ab" * 5,
        "State": {"Pid": 1},
        "NetworkSettings": {"Networks": {"front": {"IPAddress": ""}}},
    }


def test_where_containers_cannot_be_reached_their_published_ports_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compose, "docker", lambda *words: f"127.0.0.1:1{words[-1]}\n")
    found = {service: [container()] for service in SERVICES}
    assert compose.reached(found) == {
        "caddy": "http://127.0.0.1:18081",
        "nginx": "http://127.0.0.1:18082",
        "apache": "http://127.0.0.1:18083",
    }


def test_a_process_of_another_kernel_is_not_ours() -> None:
    assert compose.pid_here(container()) is None
