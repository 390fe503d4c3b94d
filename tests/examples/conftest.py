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
    ours = {"stack", *(path.parent.name for path in EXAMPLES.glob("*/app.py"))}
    for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
        monkeypatch.delitem(sys.modules, name)  # others' packages have these names too; comes back afterwards
    before, path = set(sys.modules), list(sys.path)
    yield importlib.import_module("stack").app
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[name]
