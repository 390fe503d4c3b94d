"""The examples' application (examples/stack.py) for other ASGI servers, under a name of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

NAME = "all_examples"
FOLDER = Path(__file__).resolve().parents[3] / "examples"


def load() -> Any:
    """Import it; it finds the examples beside it first, as with `pierhead run --app-dir`."""
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location(NAME, FOLDER / "stack.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module.app


app = load()
