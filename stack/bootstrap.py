"""Makes the kit's virtual environment, with exactly what the lock files say, and starts the command in it.

Runs in whatever Python started `./kit`, so it uses the standard library only. The environment is `.venv` in
the repository, or KIT_VENV; a command whose packages the others must not meet has one beside it. The project
itself needs no build and no network: a .pth file names `server/`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stack import cli
from stack.errors import KitError

try:
    import fcntl
except ImportError:
    sys.exit("kit: needs Linux or macOS. On Windows use WSL, or the containers: docker compose up --wait")

__all__ = ["NEEDS", "main", "prepare"]

ROOT = Path(__file__).resolve().parent.parent

# Command -> the lock files (locks/NAME.txt) that it needs. Commands not in here run without any.
NEEDS: dict[str, tuple[str, ...]] = {
    "up": ("stack",),
    "psql": ("stack",),
    "backup": ("stack",),
    "restore": ("stack",),
    "bench": ("stack", "load", "report"),
    "report": ("report",),
    "peers": ("peers",),
    "matrix": ("stack",),
    "faults": ("peers",),
    "test": ("test",),
    "lock": ("lock",),
}
# Command -> lock files that it can do without: where they cannot be installed, that is said.
OPTIONAL: dict[str, tuple[str, ...]] = {"peers": ("peers-source",), "faults": ("peers-source",)}
# Lock file -> the package in it that has no wheel; all that its building needs is in a lock before it.
FROM_SOURCE = {"peers-source": "socketify"}
# Commands with an environment apart, one for each version of Python → its name.
APART = {"peers": "peers", "faults": "peers"}
PACKAGE = re.compile(
    r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)|Processing .*?([\w.]+)-[^-/]*-[^/]*\.whl"
)
NOTE = "kit.json"  # in the environment: how far its making got
TAIL_LINES = 20


def main(argv: Sequence[str]) -> int:
    """Run one command of the kit; returns its exit code (or never, when it goes on in the environment)."""
    needs = NEEDS.get(argv[0], ()) if argv else ()
    if argv[:1] == ["bench"] and any(word.partition("=")[0] == "--peers" for word in argv):
        needs += ("peers",)
    if any(word in ("-h", "--help") for word in argv[1:]):
        needs = ()
    try:
        if needs:
            if argv[0] not in cli.PASSED_ON:
                cli.parse(argv)  # what is wrong is said before packages are installed for it
            if argv[0] in APART:
                change_python(argv)
            venv = place(argv[0])
            prepare(venv, needs, OPTIONAL.get(argv[0], ()))
            if Path(sys.prefix).resolve() != venv.resolve():
                python = str(venv / "bin" / "python")
                os.execv(python, [python, str(ROOT / "kit"), *argv])  # noqa: S606 - the same command again
    except KitError as error:
        print(f"kit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nkit: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return cli.main(argv)


def place(command: str) -> Path:
    """Return the folder of the environment that a command runs in."""
    venv = Path(os.environ.get("KIT_VENV") or ROOT / ".venv").absolute()
    if command in APART:
        return venv.with_name(
            f"{venv.name}-{APART[command]}-{sys.version_info.major}.{sys.version_info.minor}"
        )
    return venv


def change_python(argv: Sequence[str]) -> None:
    """Start the same command in the Python that an option --python names, if it does. Raises KitError."""
    words = list(argv)
    for index, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option == "--python":
            rest = words[index + 1 :]
            if not equals:
                if not rest:
                    raise KitError("--python needs a Python, such as --python python3.13")
                value = rest.pop(0)
            if (found := shutil.which(value)) is None:
                raise KitError(f"--python {value}: there is no such program")
            os.execv(found, [found, str(ROOT / "kit"), *words[:index], *rest])  # noqa: S606 - the same command


def prepare(venv: Path, locks: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Bring the environment at `venv` to what `locks` say; quick if it is there already. Raises KitError.

    A lock file of `optional` that cannot be installed is passed over, and tried again the next time.
    """
    python = venv / "bin" / "python"
    wanted = {name: digest(name) for name in (*locks, *optional)} | {"project": project_digest(venv)}
    try:
        if satisfied(venv, wanted) and works(python):
            return
        venv.mkdir(parents=True, exist_ok=True)
        with locked(venv) as lock:
            note = read_note(venv)
            if not works(python) or note.get("unfinished") or note.get("place") != str(venv):
                create(venv, note)
            for name, content in wanted.items():
                if read_note(venv).get("installed", {}).get(name) != content:
                    if name == "project":
                        link_project(venv)
                    else:
                        before = read_note(venv)
                        try:
                            install(venv, name, lock)
                        except KitError as error:
                            if name not in optional:
                                raise
                            write_note(venv, before)  # pip takes packages as a whole, or none of them
                            print(f"kit: without locks/{name}.txt: {error}", file=sys.stderr, flush=True)
                            continue
                    note = read_note(venv)
                    note.setdefault("installed", {})[name] = content
                    write_note(venv, note)
    except OSError as error:
        raise KitError(
            f"cannot write {error.filename or venv}: {error.strerror or error}{space_left(venv)}\n"
            "     Another place for the environment: KIT_VENV=DIR ./kit ..."
        ) from error


def digest(lock: str) -> str:
    """Return the hash of a lock file. Raises KitError if it is missing."""
    try:
        return hashlib.sha256((ROOT / "locks" / f"{lock}.txt").read_bytes()).hexdigest()
    except OSError as error:
        raise KitError(
            f"cannot read locks/{lock}.txt: {error.strerror}; is this a complete checkout?"
        ) from error


def project_digest(venv: Path) -> str:
    """Return a hash of all that `link_project` depends on."""
    facts = [str(venv), str(ROOT), (ROOT / "pyproject.toml").read_text(encoding="utf-8")]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()


def satisfied(venv: Path, wanted: dict[str, str]) -> bool:
    """Tell whether the environment was finished, here, with all of `wanted`."""
    note = read_note(venv)
    return (
        not note.get("unfinished")
        and note.get("place") == str(venv)
        and wanted.items() <= note.get("installed", {}).items()
    )


def works(python: Path) -> bool:
    """Tell whether an environment's Python runs and finds the packages of its own version.

    It does neither when the Python that it was made from was removed or replaced by a newer one.
    """
    if Path(sys.prefix).resolve() == python.parent.parent.resolve():
        return True
    code = "import os, pip, sys; print(sys.version_info >= (3, 11))"
    try:
        result = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return result.stdout.strip() == "True"


def read_note(venv: Path) -> dict[str, Any]:
    """Return what an earlier run noted about the environment; {} if there is nothing to rely on."""
    try:
        note = json.loads((venv / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def write_note(venv: Path, note: dict[str, Any]) -> None:
    """Note how far we are, in one step, so that an interrupted run is seen as such."""
    part = venv / f"{NOTE}.part"
    part.write_text(json.dumps(note, indent=1), encoding="utf-8")
    part.replace(venv / NOTE)


@contextlib.contextmanager
def locked(venv: Path) -> Iterator[int]:
    """Hold the environment, so that no two kits install into it at a time; yields the lock's handle."""
    # The folder itself is locked: a file in it would not survive its emptying.
    handle = os.open(venv, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another kit is installing into {venv}; waiting for it ...", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def create(venv: Path, note: dict[str, Any]) -> None:
    """Make an empty environment; one that the kit made itself is replaced. Raises KitError."""
    if not note and any(entry.name != f"{NOTE}.part" for entry in venv.iterdir()):
        raise KitError(
            f"{venv} was not made by ./kit, or is no longer usable; nothing in it was touched.\n"
            f"     Remove it (rm -r {venv}), or choose another place: KIT_VENV=DIR ./kit ..."
        )
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise KitError(
            f"this Python ({sys.executable}) lacks venv or ensurepip; Debian and Ubuntu package them apart.\n"
            f"     Install it:  sudo apt install python{version}-venv"
        )
    print(f"Making a virtual environment in {venv} (Python {sys.version.split()[0]})", flush=True)
    write_note(venv, {"unfinished": "venv"})
    for entry in venv.iterdir():  # not `venv --clear`, which would remove our note as well
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != NOTE:
            entry.unlink()
    result = subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True, text=True, check=False)
    if result.returncode:
        output = f"{result.stdout}\n{result.stderr}".strip()
        raise KitError(f"cannot make a virtual environment in {venv}:{space_left(venv)}\n{indented(output)}")
    write_note(venv, {"place": str(venv), "installed": {}})


def install(venv: Path, name: str, lock: int) -> None:
    """Install locks/<name>.txt with pip: only files with these hashes, nothing built. Raises KitError."""
    path = ROOT / "locks" / f"{name}.txt"
    total = len(re.findall(r"^[\w.-]+==", path.read_text(encoding="utf-8"), re.MULTILINE))
    print(
        f"Installing what ./kit needs (locks/{name}.txt, {total} packages; a minute or two, once)", flush=True
    )
    # fmt: off
    command = [
        str(venv / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "--no-deps",
        "--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--progress-bar=off",
        "-r", str(path),
    ]
    # fmt: on
    if name in FROM_SOURCE:
        command += ["--no-build-isolation", f"--no-binary={FROM_SOURCE[name]}"]
    # A pip that is killed can leave halves of packages, which confuse the next one: start over then.
    note = read_note(venv)
    write_note(venv, note | {"unfinished": name})
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PYTHONUNBUFFERED": "1", "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        pass_fds=[lock],  # should we be killed, pip still holds the environment until it has ended
    ) as process:
        assert process.stdout is not None
        try:
            last = progress(process.stdout, total)
        except KeyboardInterrupt:
            process.terminate()
            raise
    if process.returncode:
        raise KitError(
            f"pip could not install locks/{name}.txt (exit code {process.returncode}):{space_left(venv)}\n"
            f"{indented(last)}\n"
            "     Is the package index reachable? pip's settings (PIP_INDEX_URL, HTTPS_PROXY, ...) apply."
        )
    write_note(venv, note)


def progress(lines: Iterable[str], total: int) -> str:
    """Show what pip is at: on one line of a terminal, elsewhere a line each. Return its last lines."""
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    terminal = sys.stdout.isatty()
    done = 0

    def show(text: str) -> None:
        print(f"\r\033[K  {text}" if terminal else f"  {text}", end="" if terminal else "\n", flush=True)

    for line in lines:
        tail.append(line.rstrip())
        if match := PACKAGE.match(line):
            done += 1
            show(f"[{done}/{total}] {match[1] or match[2]}")
        elif line.startswith("Installing collected packages"):
            show("unpacking ...")
    if terminal:
        print("\r\033[K", end="", flush=True)
    return "\n".join(tail)


def link_project(venv: Path) -> None:
    """Make `import pierhead` and the `pierhead` command work from the sources, as an editable install would.

    Building a wheel, even an editable one, would fetch a build backend that no lock file pins.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python = venv / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    packages = Path(found)
    name, version = project["name"], project["version"]
    for old in packages.glob(f"{name}-*.dist-info"):
        shutil.rmtree(old)
    (packages / f"__{name}__.pth").write_text(f"{ROOT / 'server'}\n", encoding="utf-8")
    info = packages / f"{name}-{version}.dist-info"
    info.mkdir()
    requires = "".join(f"Requires-Dist: {one}\n" for one in project.get("dependencies", ()))
    about = f"Name: {name}\nVersion: {version}\nSummary: {project.get('description', name)}\n"
    files = {
        "METADATA": f"Metadata-Version: 2.1\n{about}{requires}",
        "INSTALLER": "kit\n",
        "entry_points.txt": "[console_scripts]\n"
        + "".join(f"{command} = {target}\n" for command, target in project["scripts"].items()),
    }
    for file, content in files.items():
        (info / file).write_text(content, encoding="utf-8")
    scripts = []
    for command, target in project["scripts"].items():
        module, _, function = target.partition(":")
        script = venv / "bin" / command
        # Through sh, because a #! line ends at the first space of a path and has a maximum length.
        script.write_text(
            f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"
            f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n",
            encoding="utf-8",
        )
        script.chmod(0o755)
        scripts.append(os.path.relpath(script, packages))
    record = [f"{info.name}/{file}" for file in (*files, "RECORD")] + [f"__{name}__.pth", *scripts]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in record), encoding="utf-8")


def space_left(place: Path) -> str:
    """Return a remark if the disk is nearly full, else nothing."""
    while not place.exists():
        place = place.parent
    try:
        free = shutil.disk_usage(place).free // 2**20
    except OSError:
        return ""
    return f" (the disk has {free} MiB left; about 500 are needed)" if free < 500 else ""


def indented(text: str) -> str:
    """Return the last lines of a program's output, set off from our own words."""
    return "\n".join(f"     | {line}" for line in text.splitlines()[-TAIL_LINES:])
