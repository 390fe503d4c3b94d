"""Text that a command writes between two marks in a page of the documentation."""

from __future__ import annotations

from pathlib import Path

__all__ = ["include"]


def include(page: Path, what: str, text: str) -> None:
    """Put text between the marks in a page. Raises ValueError if it has none, and OSError."""
    begin_mark, end_mark = f"<!-- {what}: begin -->", f"<!-- {what}: end -->"
    before, begin, rest = page.read_text(encoding="utf-8").partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {begin_mark} and {end_mark} for the text to go between")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
