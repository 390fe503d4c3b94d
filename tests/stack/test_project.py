"""`./kit new`: what it writes for every example and every proxy, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stack import cli
from stack.errors import KitError
from stack.project import compose, requirements
from stack.project.write import PROXIES, examples, new
from stack.state import ROOT

COMBINATIONS = [(example, proxy) for example in examples() for proxy in PROXIES]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, where we are."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of all files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_command_writes_a_project_and_says_how_it_goes_on(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["new", "harbour", "--example", "database", "--proxy", "nginx"]) == 0
    assert "cd harbour\n    docker compose up --wait --build" in capsys.readouterr().out
    assert "# harbour\n" in (here / "harbour" / "README.md").read_text()
    assert [path.name for path in here.iterdir()] == ["harbour"]  # no draft stays behind


@pytest.mark.parametrize(("example", "proxy"), COMBINATIONS)
def test_a_project_is_complete(here: Path, example: str, proxy: str) -> None:
    folder = new("harbour", example=example, proxy=proxy, into=here)
    written = files(folder)
    source = files(ROOT / "examples" / example)
    for name, content in source.items():
        if "__pycache__" not in name and name not in ("README.md", "__init__.py") and name.endswith(".py"):
            assert written[name] == content, name
    assert {name for name in written if name.startswith("proxy/")} == {
        f"proxy/{proxy}/{name}" for name in files(ROOT / "proxy" / proxy)
    }
    for name in (
        ".dockerignore",
        ".gitignore",
        "docker-compose.dev.yml",
        "docker-compose.test.yml",
        "db/roles.sql",
        "db/init/10-roles.sh",
    ):
        assert name in written
    assert (folder / "db" / "backup").stat().st_mode & 0o100
    tables = [name for name in written if name.startswith("db/migrations/")]
    assert tables
    assert all(re.search(rf"\d+_{example}(_.*)?\.sql", name) for name in tables)
    for name, content in written.items():
        if not name.endswith((".py", ".sql")) and not name.startswith(("proxy/", "db/", "tests/")):
            text = content.decode()
            assert not re.search(
                r"(?<!\$)\{(name|example|proxy|title|site|port|copies|markers|application)\}", text
            )
            assert str(ROOT) not in text
            for target in re.findall(r"\]\(([^)#:\s]+)\)", text) if name.endswith(".md") else ():
                assert (folder / target).exists(), f"{name} links to {target}"


@pytest.mark.parametrize("example", examples())
def test_the_page_of_the_example_says_nothing_that_only_holds_in_the_kits_folder(
    here: Path, example: str
) -> None:
    page = (new("harbour", example=example, proxy="caddy", into=here) / "EXAMPLE.md").read_text()
    assert "## Run it\n\n[README.md](README.md) says how.\n\n" in page
    assert "Change first:\n\n1. " in page
    for wrong in ("../..", "__init__", "stack.py", "Behind the stack", "./kit new", "./kit up"):
        assert wrong not in page


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_containers_are_those_of_one_proxy(here: Path, proxy: str) -> None:
    text = (new("harbour", example="database", proxy=proxy, into=here) / "docker-compose.yml").read_text()
    services = dict(compose.blocks(dict(compose.blocks(text, 0))["services"].partition("\n")[2], 2))
    assert services.keys() == {"app", proxy, "db", "migrate", "secrets"}
    assert "name: harbour\n" in text
    assert "${PORT:-8080}:80" in services[proxy]
    used, made = set(re.findall(r"\*([\w-]+)", text)), set(re.findall(r"&([\w-]+)", text))
    assert used <= made


@pytest.mark.parametrize("example", examples())
def test_the_tests_of_a_project_are_found_where_it_stands_alone(here: Path, example: str) -> None:
    folder = new("harbour", example=example, proxy="caddy", into=here)
    environment = {name: value for name, value in os.environ.items() if name != "TEST_DATABASE_URL"}
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "tests/test_" in result.stdout


@pytest.mark.parametrize("example", examples())
def test_what_a_project_imports_is_locked(here: Path, example: str) -> None:
    folder = new("harbour", example=example, proxy="caddy", into=here)
    locked = set(re.findall(r"^([\w.-]+)==", (folder / "requirements.txt").read_text(), re.MULTILINE))
    wanted = re.findall(r"^[\w-]+", (folder / "requirements.in").read_text(), re.MULTILINE)
    assert set(wanted) <= locked
    assert ("argon2-cffi" in locked) == (example == "hexagonal")
    assert "h11" not in locked, "the server's own are in its image"


def test_every_package_of_the_examples_is_known() -> None:
    names = {
        lock: set(re.findall(r"^([\w.-]+)==", (ROOT / f"locks/{lock}.txt").read_text(), re.MULTILINE))
        for lock in ("examples", "server")
    }
    known = {package for packages in requirements.PACKAGES.values() for package in packages}
    assert known == names["examples"] - names["server"]


@pytest.mark.parametrize(
    "name",
    ["", "My-App", "1st", "a_b", "a--b", "a-", "-a", "a b", "../a", "a/b", "a.b", "é", "x" * 41, "a\n"],
)
def test_a_name_that_docker_would_not_take_is_refused(here: Path, name: str) -> None:
    with pytest.raises(KitError, match="cannot be the name: take a-z, 0-9"):
        new(name, example="simple", proxy="caddy", into=here)
    assert list(here.iterdir()) == []


def test_the_name_of_the_kit_is_refused(here: Path) -> None:
    with pytest.raises(KitError, match="the kit's own containers and image have it"):
        new("pierhead", example="simple", proxy="caddy", into=here)


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_nothing_is_overwritten(here: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = here / "harbour"
    if kind == "file":
        place.touch()
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to("nowhere")
    assert cli.main(["new", "harbour"]) == 1
    assert capsys.readouterr().err == (
        "kit: harbour exists, and nothing is overwritten: choose another name, or --into DIR\n"
    )
    assert [path.name for path in here.iterdir()] == ["harbour"]


def test_the_folder_to_write_into_must_be_there(here: Path) -> None:
    with pytest.raises(KitError, match="is not a folder: make it first"):
        new("harbour", example="simple", proxy="caddy", into=here / "missing")


def test_an_example_or_proxy_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--example", "advanced"], ["--proxy", "haproxy"]):
        with pytest.raises(SystemExit) as end:
            cli.main(["new", "harbour", *words])
        assert end.value.code == 2
    assert "choose from" in capsys.readouterr().err


def test_a_project_that_cannot_be_finished_leaves_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "KEPT", ("app", "cache"))
    with pytest.raises(KitError, match=r"docker-compose.yml is not as .* knows it: it has no service cache"):
        new("harbour", example="simple", proxy="caddy", into=here)
    assert list(here.iterdir()) == []


def test_an_import_that_nobody_would_install_is_found(here: Path) -> None:
    (here / "app.py").write_text("import os, psycopg\nfrom own.part import x\nimport redis.client\n")
    (here / "own").mkdir()
    with pytest.raises(KitError, match=r"app.py imports redis, which .*requirements.py does not know"):
        requirements.imported([here / "app.py", here / "own"])
