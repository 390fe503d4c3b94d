from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pierhead import App

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def stack_app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The composition, imported as `pierhead run stack:app --app-dir examples` does."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for name in [name for name in sys.modules if name.partition(".")[0] == "stack"]:
        monkeypatch.delitem(sys.modules, name)  # the kit's package has the same name; comes back afterwards
    before = set(sys.modules)
    yield importlib.import_module("stack").app
    for name in {"stack", "simple", "simple.app", "database", "database.app"} - before:
        sys.modules.pop(name, None)
