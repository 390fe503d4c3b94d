"""docs/operations.md: its table of settings is the settings'.

`python -m tests.docs.test_operations_page` writes it anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from pierhead.config.settings import knobs
from pierhead.config.values import format_value

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
TABLE = re.compile(r"(<!-- settings -->\n).*?(<!-- end of settings -->)", re.DOTALL)


def table() -> str:
    """Render the settings as a Markdown table."""
    lines = ["| setting | default | what it is |", "| --- | --- | --- |"]
    for knob in knobs().values():
        default = format_value(knob, knob.default)
        zero = f"; 0: {knob.zero}" if knob.zero and knob.default else ""
        choices = f" ({', '.join(knob.choices)})" if knob.choices else ""
        lines.append(f"| `{knob.name}` | {default} | {knob.help}{choices}{zero} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_settings_is_complete() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert TABLE.sub(lambda match: match[1] + table() + match[2], page) == page


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda match: match[1] + table() + match[2], PAGE.read_text(encoding="utf-8")))
