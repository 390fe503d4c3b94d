"""The page about applications: its blocks run, one after the other, in one namespace."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "app.md"


def test_every_block_of_the_page_runs() -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) > 5
    namespace: dict[str, Any] = {"__name__": "app_md"}
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], str(PAGE), "exec"), namespace)
    shutil.rmtree(namespace["folder"])
