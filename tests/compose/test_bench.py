"""`./kit bench --compose`: containers that run already are measured, and left as they were."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from loadtest import machine
from loadtest.compose import containers
from loadtest.faults import FAULTS
from loadtest.roles import processes
from loadtest.scenario import load_all
from loadtest.subject import Subject
from loadtest.targets import chosen, probe_record
from tests.compose.compose import PROXIES, Compose, docker

pytestmark = [pytest.mark.docker]


@pytest.fixture
def subject(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    """The stack that is up already; it runs on, whatever was done to it."""
    for name, value in (compose.env | {"COMPOSE_PROJECT_NAME": compose.project}).items():
        monkeypatch.setenv(name, value)
    before = compose("ps", "--quiet").split()
    with containers() as subject:
        yield subject
    assert compose("ps", "--quiet").split() == before


def test_every_target_is_reached_and_answers_rightly(subject: Subject) -> None:
    targets = chosen(subject.status, None, [])
    assert [target.name for target in targets] == ["direct", *PROXIES]
    with probe_record(targets[0]) as record:
        for target in targets:
            for scenario in load_all().values():
                scenario.prove(target, record)


def test_roles_have_versions_and_processes(subject: Subject) -> None:
    assert subject.status["db"]["version"].startswith("postgres:18, postgres (PostgreSQL) 18.")
    assert "pierhead 0." in subject.status["app"]["version"]
    pids = processes(subject.status)
    assert pids.keys() == {"app", "db", *PROXIES}
    assert len(pids["app"]) == 2
    assert machine.memory_of(machine.tree(pids["db"]))[0] > 2**20


def test_its_database_is_asked(subject: Subject) -> None:
    assert subject.sql
    assert subject.sql("SELECT 6 * 7;\nSELECT current_database();") == "42\npierhead\n"


def test_the_application_gets_new_processes(subject: Subject) -> None:
    assert subject.renew
    targets = chosen(subject.status, ["direct"], [])
    before = set(machine.tree(processes(subject.status)["app"]))
    subject.renew()
    after = set(machine.tree(processes(subject.status)["app"]))
    assert len(after - before) >= 4  # two workers in each container, and what they were made from
    with probe_record(targets[0]):
        pass


def test_containers_are_bound_to_cores(subject: Subject, compose: Compose) -> None:
    assert subject.bind
    cores = machine.cores()
    for wanted in (cores[:1], cores):
        subject.bind(wanted)
        for service in ("app", "db", *PROXIES):
            ids = compose.containers(service)
            found = json.loads(docker("inspect", "--format", "{{json .HostConfig.CpusetCpus}}", ids[0]))
            assert found == ",".join(map(str, wanted))


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_reloads(subject: Subject, proxy: str) -> None:
    assert "reload" in FAULTS
    assert subject.disturb
    assert subject.disturb("reload", proxy) == f"{proxy} was reloaded"
    with probe_record(chosen(subject.status, [proxy], [])[0]):
        pass
