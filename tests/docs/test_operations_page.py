"""docs/operations.md: its table of settings is the settings', and its table of events the log's.

`python -m tests.docs.test_operations_page` writes it anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from pierhead.config.settings import knobs
from pierhead.config.values import format_value

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
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


def test_the_events_of_the_log_are_listed_each_with_its_fields() -> None:
    told: dict[str, set[str]] = {}
    for file in (ROOT / "server" / "pierhead").rglob("*.py"):
        for call in re.finditer(
            r"\bfacts\(\s*\"(\w+)\"((?:[^()]|\([^()]*\))*)\)", file.read_text(encoding="utf-8")
        ):
            told.setdefault(call[1], set()).update(re.findall(r"\b(\w+)=", call[2]))
    page = (
        PAGE.read_text(encoding="utf-8")
        .partition("<!-- events -->")[2]
        .partition("<!-- end of events -->")[0]
    )
    listed = {}
    for line in page.splitlines()[3:]:
        event, _, fields = line.strip("| ").partition(" | ")
        listed[event.strip("`")] = set(re.findall("`(\\w+)`", fields.rpartition(" | ")[2]))
    assert listed.keys() == told.keys()
    for event, names in told.items():
        assert names <= listed[event], event


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda match: match[1] + table() + match[2], PAGE.read_text(encoding="utf-8")))
