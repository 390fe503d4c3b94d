"""The kit's own environment: made from lock files, repaired when interrupted, refused with a reason.

The packages here are made on the spot, so that pip needs no network.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stack import bootstrap, cli
from stack.errors import KitError
from tests.kit import ROOT, eventually

PROJECT = """\
[project]
name = "greeter"
version = "1.2.3"
dependencies = ["toy>=1"]
[project.scripts]
greet = "greeter.main:main"
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a project of its own and one lock file, for the package toy 1."""
    root = tmp_path / "my repository"
    for folder in ("locks", "wheels", "server/greeter"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "server" / "greeter" / "__init__.py").touch()
    (root / "server" / "greeter" / "main.py").write_text(
        "import sys, toy\ndef main():\n    print('hello', toy.VERSION, *sys.argv[1:])\n    return 3\n"
    )
    lock(root, "stack", toy="1")
    monkeypatch.setattr(bootstrap, "ROOT", root)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", (root / "wheels").as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return root


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where environments of these tests are, and a copy of an empty one, since making one takes seconds."""
    place = tmp_path_factory.mktemp("module") / "an environment"
    place.mkdir()
    bootstrap.create(place, {})
    return place, shutil.copytree(place, place.with_name("copy"), symlinks=True)


@pytest.fixture
def venv(template: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with nothing installed. Where it is made anew, that means copying files, not seconds."""
    place, copy = template
    really: Callable[..., Any] = subprocess.run

    def run(command: Sequence[str | Path], **options: Any) -> Any:
        if tuple(command[1:3]) != ("-m", "venv"):
            return really(command, **options)
        copied(copy, Path(command[3]), ignore=shutil.ignore_patterns(bootstrap.NOTE))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    shutil.rmtree(place, ignore_errors=True)
    return copied(copy, place)


def copied(environment: Path, place: Path, **options: Any) -> Path:
    """Copy an environment: its thousand files are links, but for the one that is written to."""

    def copy(source: str, target: str) -> None:
        (shutil.copy if source.endswith(bootstrap.NOTE) else os.link)(source, target)

    return shutil.copytree(
        environment, place, symlinks=True, dirs_exist_ok=True, copy_function=copy, **options
    )


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """A place without an environment."""
    return tmp_path / "new" / "an environment"


def lock(root: Path, name: str, **packages: str) -> None:
    """Write wheels and a lock file for them."""
    lines = []
    for package, version in packages.items():
        wheel = root / "wheels" / f"{package}-{version}-py3-none-any.whl"
        info = f"{package}-{version}.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{package}.py", f"VERSION = {version!r}\n")
            archive.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
            )
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{info}/RECORD", f"{package}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
        lines.append(
            f"{package}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
        )
    (root / "locks" / f"{name}.txt").write_text("".join(lines))


def run(venv: Path, *argv: str) -> str:
    """Run the environment's Python."""
    return subprocess.run(
        [venv / "bin" / "python", *argv], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_an_environment_is_made_and_the_lock_installed_with_progress(
    root: Path, nothing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.prepare(nothing, ["stack"])
    assert run(nothing, "-c", "import toy; print(toy.VERSION)") == "1"
    output = capsys.readouterr().out
    assert f"Making a virtual environment in {nothing}" in output
    assert "(locks/stack.txt, 1 packages; a minute or two, once)" in output
    assert "[1/1] toy" in output


def test_the_project_is_there_with_its_command_and_metadata(root: Path, venv: Path) -> None:
    bootstrap.prepare(venv, ["stack"])
    result = subprocess.run([venv / "bin" / "greet", "a b"], capture_output=True, text=True, check=False)
    assert (result.stdout, result.returncode) == ("hello 1 a b\n", 3)  # from a folder with spaces in its name
    code = "import importlib.metadata as m; print(m.version('greeter'), m.requires('greeter'))"
    assert run(venv, "-c", code) == "1.2.3 ['toy>=1']"
    run(venv, "-m", "pip", "check")
    run(venv, "-m", "pip", "uninstall", "--yes", "greeter")
    assert not (venv / "bin" / "greet").exists()


def test_the_second_time_nothing_is_done(root: Path, venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap.prepare(venv, ["stack"])
    before = (venv / "kit.json").stat().st_mtime_ns
    monkeypatch.setattr(bootstrap, "install", None)
    monkeypatch.setattr(bootstrap, "create", None)
    monkeypatch.setattr(bootstrap, "link_project", None)
    bootstrap.prepare(venv, ["stack"])
    assert (venv / "kit.json").stat().st_mtime_ns == before


def test_a_lock_that_changed_is_installed_again_and_others_when_needed(root: Path, venv: Path) -> None:
    bootstrap.prepare(venv, ["stack"])
    lock(root, "stack", toy="2")
    lock(root, "load", other="5")
    bootstrap.prepare(venv, ["stack", "load"])
    assert run(venv, "-c", "import toy, other; print(toy.VERSION, other.VERSION)") == "2 5"


def test_a_new_version_of_the_project_replaces_the_old_metadata(root: Path, venv: Path) -> None:
    bootstrap.prepare(venv, ["stack"])
    (root / "pyproject.toml").write_text(PROJECT.replace("1.2.3", "2.0"))
    bootstrap.prepare(venv, ["stack"])
    assert run(venv, "-c", "import importlib.metadata as m; print(m.version('greeter'))") == "2.0"


def test_a_file_with_another_hash_is_refused(root: Path, venv: Path) -> None:
    path = root / "locks" / "stack.txt"
    path.write_text(path.read_text().replace("sha256:", "sha256:0123")[:-5] + "\n")
    with pytest.raises(KitError, match=r"pip could not install locks/stack.txt \(exit code 1\)[^$]*HASH"):
        bootstrap.prepare(venv, ["stack"])


def test_a_missing_package_is_told_with_pips_words(root: Path, venv: Path) -> None:
    for wheel in (root / "wheels").iterdir():
        wheel.unlink()
    with pytest.raises(KitError, match=r"No matching distribution found for toy==1[^$]*index reachable"):
        bootstrap.prepare(venv, ["stack"])
    lock(root, "stack", toy="1")
    bootstrap.prepare(venv, ["stack"])  # goes on from there
    assert run(venv, "-c", "import toy; print(toy.VERSION)") == "1"


@pytest.mark.parametrize("note", [{"unfinished": "venv"}, {"unfinished": "stack", "installed": {}}])
def test_an_interrupted_installation_starts_over(root: Path, venv: Path, note: dict[str, Any]) -> None:
    bootstrap.prepare(venv, ["stack"])
    (venv / "kit.json").write_text(json.dumps({"place": str(venv)} | note))
    (venv / "bin" / "python").unlink()
    (venv / "half").mkdir()
    bootstrap.prepare(venv, ["stack"])
    assert run(venv, "-c", "import toy; print(toy.VERSION)") == "1"
    assert not (venv / "half").exists()


def test_ctrl_c_while_installing_leaves_what_the_next_run_repairs(
    root: Path, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys; from pathlib import Path; from stack import bootstrap;"
        f"bootstrap.ROOT = Path({str(root)!r}); sys.exit(bootstrap.main(['psql']))"
    )
    monkeypatch.setenv("KIT_VENV", str(venv))
    with socket.create_server(("127.0.0.1", 0)) as index:  # never answers
        env = os.environ | {"PIP_INDEX_URL": f"http://127.0.0.1:{index.getsockname()[1]}/simple"}
        del env["PIP_NO_INDEX"]
        with subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as kit:
            index.settimeout(60)
            with index.accept()[0]:  # pip asks
                os.killpg(kit.pid, signal.SIGINT)  # as a terminal does
                _, errors = kit.communicate(timeout=60)
        assert kit.returncode == 130
        assert "kit: interrupted; the same command goes on from here" in errors
        with pytest.raises(ProcessLookupError):
            os.killpg(kit.pid, 0)  # pip has ended, too
    assert json.loads((venv / "kit.json").read_text())["unfinished"] == "stack"
    bootstrap.prepare(venv, ["stack"])
    assert run(venv, "-c", "import toy; print(toy.VERSION)") == "1"


def test_an_environment_that_was_moved_is_made_anew(root: Path, venv: Path) -> None:
    bootstrap.prepare(venv, ["stack"])
    moved = venv.rename(venv.with_name("moved"))
    bootstrap.prepare(moved, ["stack"])
    assert run(moved, "-c", "import sys; print(sys.prefix)") == str(moved)
    assert str(moved) in (moved / "bin" / "greet").read_text()


def test_an_environment_whose_python_is_gone_is_made_anew(root: Path, venv: Path) -> None:
    bootstrap.prepare(venv, ["stack"])
    for name in ("python", "python3"):
        (venv / "bin" / name).unlink()
        (venv / "bin" / name).symlink_to("/nowhere/python3")
    bootstrap.prepare(venv, ["stack"])
    assert run(venv, "-c", "import toy; print(toy.VERSION)") == "1"


def test_somebody_elses_folder_is_left_alone(root: Path, nothing: Path) -> None:
    nothing.mkdir(parents=True)
    (nothing / "thesis.txt").write_text("precious")
    with pytest.raises(KitError, match=r"was not made by ./kit[^$]*KIT_VENV=DIR"):
        bootstrap.prepare(nothing, ["stack"])
    assert [path.name for path in nothing.iterdir()] == ["thesis.txt"]


def test_another_kit_that_installs_is_waited_for(
    root: Path, venv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.prepare(venv, ["stack"])
    lock(root, "stack", toy="2")
    handle = os.open(venv, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    thread = threading.Thread(target=bootstrap.prepare, args=(venv, ["stack"]))
    thread.start()
    said = ""

    def waiting() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return "Another kit is installing" in said

    eventually(waiting, "it says that it waits")
    assert thread.is_alive()
    os.close(handle)
    thread.join()
    assert run(venv, "-c", "import toy; print(toy.VERSION)") == "2"


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_how_to_get_it(
    root: Path, nothing: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    found: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    with pytest.raises(KitError, match=r"lacks venv or ensurepip[^$]*sudo apt install python3\.\d+-venv"):
        bootstrap.prepare(nothing, ["stack"])


def test_a_place_that_cannot_be_written_is_named_with_the_fix(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KitError, match=r"cannot write .*file/venv: Not a directory[^$]*KIT_VENV=DIR"):
        bootstrap.prepare(tmp_path / "file" / "venv", ["stack"])


def test_a_full_disk_is_named(root: Path, venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"free": 3 * 2**20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    path = root / "locks" / "stack.txt"
    path.write_text(path.read_text().replace("toy==1", "toy==9"))
    with pytest.raises(KitError, match=r"the disk has 3 MiB left; about 500 are needed"):
        bootstrap.prepare(venv, ["stack"])


def test_a_lock_file_that_is_missing_is_named(root: Path, venv: Path) -> None:
    with pytest.raises(KitError, match=r"cannot read locks/load.txt: No such file"):
        bootstrap.prepare(venv, ["load"])


def test_what_is_optional_and_cannot_be_installed_is_said_and_left_out(
    root: Path, venv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(root, "extra", bell="1")
    path = root / "locks" / "extra.txt"
    right = path.read_text()
    path.write_text(right.replace("bell==1", "bell==9"))
    bootstrap.prepare(venv, ["stack"], ["extra"])
    said = capsys.readouterr().err
    assert "kit: without locks/extra.txt: pip could not install" in said
    assert run(venv, "-c", "import toy; print(toy.VERSION)") == "1"
    path.write_text(right)  # it is tried again, and nothing else is installed anew
    bootstrap.prepare(venv, ["stack"], ["extra"])
    assert run(venv, "-c", "import bell; print(bell.VERSION)") == "1"
    assert "locks/stack.txt" not in capsys.readouterr().out


def test_a_command_may_have_an_environment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_VENV", "/srv/mine")
    assert bootstrap.place("up") == Path("/srv/mine")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert bootstrap.place("peers") == Path(f"/srv/mine-peers-{version}")


@pytest.mark.parametrize("words", [["--python", "python3"], ["--python=python3"]])
def test_another_python_starts_the_same_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, argv: started.append([program, *argv[1:]]))
    bootstrap.change_python(["peers", "--quick", *words, "--rounds", "2"])
    assert started == [
        [shutil.which("python3"), str(bootstrap.ROOT / "kit"), "peers", "--quick", "--rounds", "2"]
    ]
    bootstrap.change_python(["peers", "--quick"])
    assert len(started) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--python"], "--python needs a Python"),
        (["--python", "python9"], "python9: there is no such program"),
    ],
)
def test_a_python_that_is_not_there_is_named(words: list[str], message: str) -> None:
    with pytest.raises(KitError, match=message):
        bootstrap.change_python(["peers", *words])


@pytest.mark.parametrize("argv", [[], ["--help"], ["up", "--help"], ["status"], ["down", "-h"], ["nonsense"]])
def test_nothing_is_installed_for_what_needs_nothing(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "prepare", None)
    monkeypatch.setenv("KIT_STATE", str(tmp_path))
    try:
        code = bootstrap.main(argv)
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code == {"--help": 0, "-h": 0, "status": 1}.get(argv[-1] if argv else "", 2)
    assert capsys.readouterr()


@pytest.mark.parametrize("command", [*cli.PASSED_ON, "up", "down", "status", "logs", "new"])
def test_every_command_says_what_it_does_without_an_environment(command: str) -> None:
    argv = [
        sys.executable,
        "-E",
        "-S",
        str(ROOT / "kit"),
        command,
        "--help",
    ]  # -S: the standard library alone
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout


def test_every_lock_that_a_command_needs_is_there() -> None:
    for locks in (*bootstrap.NEEDS.values(), *bootstrap.OPTIONAL.values()):
        for name in locks:
            text = (ROOT / "locks" / f"{name}.txt").read_text()
            assert "--hash=sha256:" in text
            assert "://" not in text  # no index: pip's own settings apply


def test_an_old_python_is_told_which_one_is_needed() -> None:
    source = (ROOT / "kit").read_text()
    ast.parse(source, feature_version=(3, 7))  # old ones can read it
    program = source.replace("sys.version_info < (3, 11)", "sys.version_info < (99, 0)")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "kit: Python 3.11 or newer is needed, and this is 3." in result.stderr
