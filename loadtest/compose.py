"""The stack in containers (docker-compose.yml) as what is measured: `./kit bench --compose`.

Whatever runs already is used as it is; the rest is built and started, and taken down in the end. Project,
files and ports are what `docker compose` makes of the environment (COMPOSE_PROJECT_NAME, NGINX_PORT ...).
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtest.provenance import ROOT
from loadtest.subject import Subject
from loadtest.targets import TargetError

__all__ = ["containers"]

PORTS = {"app": 8080, "caddy": 8081, "nginx": 8082, "apache": 8083}
SERVICES = ("db", *PORTS)
UP_S = 900.0  # the images may have to be built
COMMAND_S = 120.0
CONNECT_S = 0.5
DOWN_S = 1.0  # how long a replica is away
POLL_S = 0.2
PSQL = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "pierhead")
VERSIONS = {
    "app": "pierhead --version",
    "db": "postgres --version",
    "caddy": "caddy version",
    "nginx": "nginx -v 2>&1",
    "apache": "httpd -v",
}
# How a proxy reads its configuration again.
RELOAD_SIGNALS = {"nginx": "HUP", "apache": "USR1"}
RELOAD_CADDY = ("caddy", "reload", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile", "--force")


def docker(*words: str, text: str = "", timeout_s: float = COMMAND_S) -> str:
    """Run docker in the repository's folder; return what it prints. Raises TargetError with what it says."""
    try:
        result = subprocess.run(
            ["docker", *words], cwd=ROOT, input=text, capture_output=True, text=True, check=False,
            timeout=timeout_s,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise TargetError("--compose: docker is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise TargetError(f"docker {' '.join(words[:4])} did not end within {timeout_s:g} s") from error
    if result.returncode:
        said = (result.stderr.strip() or result.stdout.strip())[-2000:]
        raise TargetError(f"docker {' '.join(words[:4])} failed: {said}")
    return result.stdout


@contextlib.contextmanager
def containers() -> Iterator[Subject]:
    """Have the stack run in containers for the time of the block. Raises TargetError."""
    before = running()
    started = [service for service in SERVICES if service not in before]
    try:
        if started:
            print(f"  starting containers of {', '.join(started)} and waiting for their health", flush=True)
            docker("compose", "up", "--wait", "--build", "--no-recreate", *SERVICES, timeout_s=UP_S)
        yield subject(running())
    finally:
        if started and not before:
            docker("compose", "down")
        elif started:
            docker("compose", "rm", "--stop", "--force", *started)


def running() -> dict[str, list[dict[str, Any]]]:
    """Return service -> what docker knows of each of its containers that run."""
    ids = docker("compose", "ps", "--quiet", "--status", "running").split()
    found: dict[str, list[dict[str, Any]]] = {}
    for facts in json.loads(docker("inspect", *ids)) if ids else []:
        found.setdefault(facts["Config"]["Labels"]["com.docker.compose.service"], []).append(facts)
    for replicas in found.values():
        replicas.sort(key=lambda facts: str(facts["Name"]))
    return {service: replicas for service, replicas in found.items() if service in SERVICES}


def subject(found: Mapping[str, list[dict[str, Any]]]) -> Subject:
    """Return these containers as what is measured. Raises TargetError."""
    urls = reached(found)
    status: dict[str, dict[str, Any]] = {}
    for service, replicas in found.items():
        facts: dict[str, Any] = {"version": version(service, replicas[0])}
        if service in urls:
            facts["url"] = urls[service]
        if pids := [pid for one in replicas if (pid := pid_here(one)) is not None]:
            facts["replicas"] = [{"pid": pid} for pid in pids]
        status[service] = facts
    database, applications = found["db"][0]["Id"], [one["Id"] for one in found["app"]]

    def sql(script: str) -> str:
        return docker("exec", "--interactive", database, *PSQL, text=script)

    def renew() -> None:
        for one in applications:
            docker("exec", one, "pierhead", "reload")  # returns when the new generation serves

    def bind(cores: Sequence[int]) -> None:
        every = [one["Id"] for replicas in found.values() for one in replicas]
        docker("update", "--cpuset-cpus", ",".join(map(str, cores)), *every)

    return Subject(
        status=status, sql=sql, renew=renew, bind=bind, disturb=faults(database, applications, renew, found),
        compose=True,
    )  # fmt: skip


def faults(
    database: str,
    applications: Sequence[str],
    roll: Callable[[], None],
    found: Mapping[str, list[dict[str, Any]]],
) -> Callable[[str, str], str]:
    """Return what makes faults happen to these containers."""

    def disturb(fault: str, proxy: str) -> str:
        match fault:
            case "reload":
                container = str(found[proxy][0]["Id"])
                if proxy in RELOAD_SIGNALS:
                    docker("kill", "--signal", RELOAD_SIGNALS[proxy], container)
                else:
                    docker("exec", container, *RELOAD_CADDY)
                return f"{proxy} was reloaded"
            case "roll":
                roll()
                return "all replicas loaded the application anew, one after the other"
            case "kill":
                docker("kill", applications[-1])
                time.sleep(DOWN_S)
                docker("start", applications[-1])
                wait_until_well(applications[-1])
                return f"a replica was killed, and was back after {DOWN_S:g} s and its start"
            case "database":
                docker("restart", database)
                wait_until_well(database)
                return "PostgreSQL was restarted"
        raise TargetError(f"there is no fault {fault!r}")

    return disturb


def wait_until_well(container: str) -> None:
    """Return once a container's health check says so. Raises TargetError."""
    deadline = time.monotonic() + COMMAND_S
    while docker("inspect", "--format", "{{.State.Health.Status}}", container).strip() != "healthy":
        if time.monotonic() > deadline:
            raise TargetError(f"container {container[:12]} is not well after {COMMAND_S:g} s")
        time.sleep(POLL_S)


def reached(found: Mapping[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Return service -> URL: its container's own address, if all can be reached by theirs.

    So there is no proxy of Docker's in between, and the application, which is not published, is measured too.
    Otherwise (Docker in a virtual machine, or elsewhere) these are the published ports.
    """
    urls: dict[str, str] = {}
    for service, port in PORTS.items():
        networks = found[service][0]["NetworkSettings"]["Networks"].values() if service in found else ()
        for address in (network["IPAddress"] for network in networks):
            if address and answers(address, port):
                urls[service] = f"http://{address}:{port}"
                break
    if urls.keys() == {service for service in PORTS if service in found}:
        return urls
    published = [service for service in PORTS if service in found and service != "app"]
    return {
        service: f"http://{docker('compose', 'port', service, str(PORTS[service])).strip()}"
        for service in published
    }


def answers(address: str, port: int) -> bool:
    """Tell whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=CONNECT_S):
        return True
    return False


def version(service: str, facts: Mapping[str, Any]) -> str:
    """Return a container's image, and what the program in it says about its version."""
    said = docker("exec", str(facts["Id"]), "sh", "-c", VERSIONS[service]).partition("\n")[0].strip()
    return f"{facts['Config']['Image']}, {said}"


def pid_here(facts: Mapping[str, Any]) -> int | None:
    """Return a container's first process, if it runs under this kernel where we can see it."""
    pid = int(facts["State"]["Pid"])
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return pid if str(facts["Id"]) in groups else None
