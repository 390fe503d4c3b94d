"""What somebody who takes over a container finds there: not much."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compose.compose import PROXIES, Compose, docker

pytestmark = [pytest.mark.docker]

USERS = {"app": "10001:10001", "caddy": "10001:10001", "nginx": "101:101", "apache": "33:33", "db": "999:999"}
SERVICES = pytest.mark.parametrize("service", USERS)


def inspected(compose: Compose, service: str) -> dict[str, Any]:
    return compose.inspect(service)[0]


@SERVICES
def test_each_container_has_as_few_rights_as_it_needs(compose: Compose, service: str) -> None:
    container = inspected(compose, service)
    host = container["HostConfig"]
    assert container["Config"]["User"] == USERS[service]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert [name.removeprefix("CAP_") for name in host["CapAdd"] or []] == (
        ["NET_BIND_SERVICE"] if service == "caddy" else []
    )
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Privileged"] is False
    assert host["Init"] is True
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0


@SERVICES
def test_and_that_holds_inside(compose: Compose, service: str) -> None:
    container = compose.containers(service)[0]
    status = dict(
        line.split(":\t", 1) for line in docker("exec", container, "cat", "/proc/1/status").splitlines()
    )
    assert status["Uid"].split() == [USERS[service].partition(":")[0]] * 4
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    for folder in ("/", "/etc", "/usr/local"):
        told = docker("exec", container, "sh", "-c", f"touch {folder}/mine", check=False)
        assert "Read-only file system" in told, folder


def test_only_proxies_are_published_and_only_to_this_machine(compose: Compose) -> None:
    for service in USERS:
        bindings = inspected(compose, service)["HostConfig"]["PortBindings"] or {}
        addresses = [binding["HostIp"] for published in bindings.values() for binding in published]
        assert addresses == (["127.0.0.1"] if service in PROXIES else []), service


def test_the_database_is_in_a_network_without_a_way_out(compose: Compose) -> None:
    (name,) = inspected(compose, "db")["NetworkSettings"]["Networks"]
    assert docker("network", "inspect", "--format", "{{.Internal}}", name).strip() == "true"
    for proxy in PROXIES:
        assert name not in inspected(compose, proxy)["NetworkSettings"]["Networks"]


def test_a_container_has_its_own_password_and_no_other(compose: Compose) -> None:
    assert docker("exec", compose.containers("app")[0], "ls", "/run/secrets").split() == ["app_password"]
    for service in ("app", "db", "migrate"):
        for container in compose.inspect(service, everything=True):
            variables = dict(pair.split("=", 1) for pair in container["Config"]["Env"])
            told = {name: value for name, value in variables.items() if "PASSWORD" in name and value}
            assert all(name.endswith("_FILE") for name in told), told
    for proxy in PROXIES:
        mounts = [mount["Destination"] for mount in inspected(compose, proxy)["Mounts"]]
        assert "/run/secrets" not in mounts


def test_the_application_cannot_change_its_secrets(compose: Compose) -> None:
    command = "echo x >/run/secrets/app_password"
    told = docker("exec", compose.containers("app")[0], "sh", "-c", command, check=False)
    assert "denied" in told or "Read-only" in told


@pytest.mark.parametrize("service", [*USERS, "secrets", "migrate"])
def test_each_volume_has_a_name_by_which_it_can_be_cleared_away(compose: Compose, service: str) -> None:
    for container in compose.inspect(service, everything=True):
        volumes = [mount["Name"] for mount in container["Mounts"] if mount["Type"] == "volume"]
        assert [name for name in volumes if not name.startswith(f"{compose.project}_")] == []
