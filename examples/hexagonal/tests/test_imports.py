"""Who may know whom: the domain nobody, adapters the domain only, the composition root everybody."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SHOP = Path(__file__).parents[1] / "shop"


def imports(path: Path) -> set[str]:
    """Return the full names of the modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides what it knows"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", sorted((SHOP / "domain").rglob("*.py")), ids=lambda path: path.stem)
def test_the_domain_knows_itself_and_the_standard_library(path: Path) -> None:
    outside = {name for name in imports(path) if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in outside if not name.startswith("shop.domain.")} == set()


@pytest.mark.parametrize("path", sorted((SHOP / "adapters").rglob("*.py")), ids=lambda path: path.stem)
def test_an_adapter_knows_the_domain_and_no_other_adapter(path: Path) -> None:
    assert {name for name in imports(path) if name.startswith("shop.adapters")} == set()


@pytest.mark.parametrize(
    ("library", "adapter"), [("pierhead", "http"), ("psycopg", "postgres"), ("argon2", "passwords")]
)
def test_each_library_is_known_to_one_adapter(library: str, adapter: str) -> None:
    knowing = {path.stem for path in SHOP.rglob("*.py") for name in imports(path) if name.startswith(library)}
    assert knowing == {adapter}
