"""What an example needs besides the server, cut out of the kit's lock files: by name, version and hash."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from stack.errors import KitError

__all__ = ["TEST_PACKAGES", "imported", "locked", "packages"]

# Module -> its package, and the packages which that one needs.
PACKAGES = {
    "psycopg": ("psycopg", "psycopg-binary", "typing-extensions", "tzdata"),
    "psycopg_pool": ("psycopg-pool", "typing-extensions"),
    "argon2": ("argon2-cffi", "argon2-cffi-bindings", "cffi", "pycparser"),
}
TEST_PACKAGES = (
    "pytest", "pytest-asyncio", "pytest-timeout",
    "colorama", "iniconfig", "packaging", "pluggy", "pygments", "typing-extensions",
)  # fmt: skip
HEADER = "# Locked, with hashes: pip installs these files and no others.\n"


def imported(paths: Iterable[Path]) -> set[str]:
    """Return the third-party modules (their first names) that Python files import, the server left out.

    Raises KitError for a module that is not in PACKAGES: nobody would install it.
    """
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    own = {name for path in paths for name in (path.stem, path.name)}
    found: dict[str, Path] = {}
    for file in files:
        if file.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0]: file for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found[(node.module or "").partition(".")[0]] = file
    outside = found.keys() - sys.stdlib_module_names - own - {"pierhead"}
    for name in sorted(outside - PACKAGES.keys()):
        raise KitError(f"{found[name]} imports {name}, which stack/project/requirements.py does not know")
    return outside


def packages(modules: Iterable[str]) -> list[str]:
    """Return the packages for some modules, those included that they need themselves."""
    return sorted({package for module in modules for package in PACKAGES[module]})


def locked(lock: str, names: Sequence[str]) -> str:
    """Return the entries of some packages from a lock file's text. Raises KitError where one is missing."""
    entries = {
        match[1]: match[0] for match in re.finditer(r"^([\w.-]+)==.*\n(?: +.*\n)*", lock, re.MULTILINE)
    }
    if missing := [name for name in names if name not in entries]:
        raise KitError(f"no locked version of {', '.join(missing)}: run ./kit lock")
    return HEADER + "".join(entries[name] for name in sorted(names))
