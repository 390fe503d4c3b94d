"""The real docker-compose.yml, under a project name of its own and on ports that are free."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack.ports import any_free
from tests import leftovers

__all__ = ["PROXIES", "ROOT", "Compose", "Reply", "docker", "request", "why_not"]

ROOT = Path(__file__).resolve().parents[2]
PROXIES = ("caddy", "nginx", "apache")


def docker(*argv: str, check: bool = True, timeout_s: float = 60) -> str:
    """Run docker; return what it prints."""
    result = subprocess.run(["docker", *argv], capture_output=True, text=True, check=False, timeout=timeout_s)
    if check:
        assert result.returncode == 0, f"docker {' '.join(argv)}:\n{result.stdout}{result.stderr}"
    return result.stdout + result.stderr


def why_not() -> str | None:
    """Return the reason why containers can't be tested here, if there is one."""
    try:
        engine = subprocess.run(["docker", "version"], capture_output=True, check=False, timeout=60)
        if engine.returncode:
            return "no Docker engine answers"
        plugin = subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False, timeout=60
        )
    except FileNotFoundError:
        return "docker is not installed"
    return "docker has no compose plugin" if plugin.returncode else None


@dataclass
class Compose:
    """One project. `ports` are the published ones; `folder` has the files, `options` names them."""

    project: str = field(default_factory=lambda: f"pierhead-test-{leftovers.mark()}-{secrets.token_hex(4)}")
    ports: dict[str, int] = field(default_factory=lambda: {name: any_free() for name in (*PROXIES, "locust")})
    folder: Path = ROOT
    options: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The environment of a developer who has set nothing but ports."""
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COMPOSE_", "PIERHEAD_"))
        }
        ports = {f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        return clean | ports | dict(self.settings)

    def __call__(self, *argv: str, check: bool = True, timeout_s: float = 560) -> str:
        """Run docker compose; return what it prints."""
        options = ["--progress", "plain", "--project-name", self.project, *self.options]
        command = ["docker", "compose", *options, *argv]
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        if check and result.returncode:
            logs = (
                self("logs", "--no-color", "--tail", "30", check=False) + self.health()
                if "up" in argv
                else ""
            )
            raise AssertionError(f"{' '.join(command)}:\n{result.stdout}{result.stderr}{logs}")
        return result.stdout if check else result.stdout + result.stderr

    def containers(self, service: str, *, everything: bool = False) -> list[str]:
        """Return the ids of a service's containers."""
        return self("ps", "--quiet", *(["--all"] if everything else []), service).split()

    def health(self) -> str:
        """Return what the last health checks of each container said, and when."""
        ids = self("ps", "--quiet", "--all", check=False).split()
        return docker("inspect", "--format", "{{.Name}} {{json .State}}", *ids, check=False) if ids else ""

    def inspect(self, service: str, *, everything: bool = False) -> list[dict[str, Any]]:
        """Return what docker knows of a service's containers."""
        ids = self.containers(service, everything=everything)
        return json.loads(docker("inspect", *ids)) if ids else []

    def url(self, proxy: str, path: str = "/") -> str:
        """Return a URL behind a proxy."""
        return f"http://127.0.0.1:{self.ports[proxy]}{path}"

    def sql(self, query: str) -> str:
        """Return what the database itself answers to its superuser."""
        command = ["psql", "-X", "-A", "-t", "-U", "postgres", "-d", "pierhead", "-c", query]
        return self("exec", "-T", "db", *command).strip()

    def left(self) -> Mapping[str, Sequence[str]]:
        """Return what there is of the project: containers, volumes and networks."""
        label = f"label=com.docker.compose.project={self.project}"
        return {
            "containers": docker("ps", "--all", "--quiet", "--filter", label).split(),
            "volumes": docker("volume", "ls", "--quiet", "--filter", label).split(),
            "networks": docker("network", "ls", "--quiet", "--filter", label).split(),
        }

    def clear(self) -> None:
        """Take everything away, as `docker compose down -v` does, and the images."""
        self("--profile", "*", "down", "--volumes", "--timeout", "5", check=False)
        label = f"label=com.docker.compose.project={self.project}"
        for image in set(docker("image", "ls", "--quiet", "--filter", label).split()):
            docker("image", "rm", "--force", image, check=False)


@dataclass(frozen=True)
class Reply:
    """A response; `data` is its JSON, if it is that."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class NoErrors(urllib.request.HTTPErrorProcessor):
    """An opener that returns a 404 as it returns a 200."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response


OPENER = urllib.request.build_opener(NoErrors, urllib.request.ProxyHandler({}))


def request(
    url: str,
    *,
    method: str = "GET",
    data: object = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 15,
) -> Reply:
    """Send a request, with JSON if there is data."""
    body = None if data is None else json.dumps(data).encode()
    fields = dict(headers or {}) | ({"Content-Type": "application/json"} if body else {})
    asked = urllib.request.Request(url, data=body, headers=fields, method=method)
    with OPENER.open(asked, timeout=timeout_s) as response:
        return Reply(response.status, dict(response.headers), response.read())
