"""Writes docs/wire.md from the corpus:  python -m tests.wire.page"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from tests.wire.corpus import Case, corpus

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "wire.md"
_INTRODUCTION = """\
# What is taken for a request, and what is refused

An HTTP server that is generous with malformed requests lets them be smuggled past the proxy in front of it:
the two read the same bytes as different requests. So whatever is malformed, ambiguous or too large is
refused here, with the status that fits and `Connection: close`, and nothing after it on the connection is
carried out. What the RFCs allow is accepted, and so are a few things that browsers send all the same.

This page is made from the {count} raw requests in [tests/wire/corpus/](../tests/wire/corpus), which the tests
send whole, split at every place, and byte by byte: {refused} are refused, {accepted} are accepted. "Seen in"
names where the like was a vulnerability. To add a case, add a file (the format is in
[tests/wire/corpus.py](../tests/wire/corpus.py)) and run `python -m tests.wire.page`.

The limits are settings: see [operations.md](operations.md).
"""


def page() -> str:
    """Return the page's text."""
    cases = corpus()
    refused = sum(case.status is not None for case in cases)
    parts = [_INTRODUCTION.format(count=len(cases), refused=refused, accepted=len(cases) - refused)]
    for group, members in groupby(cases, key=lambda case: case.group):
        parts.append(f"\n## {group.capitalize().replace('-', ' ')}\n")
        in_order = sorted(members, key=lambda case: (case.status is None, case.name))
        for status, rows in groupby(in_order, key=lambda case: case.status is None):
            parts.append("\n| accepted | by | why |" if status else "\n| refused | with | by | why |")
            parts.append("| --- | --- | --- |" if status else "| --- | --- | --- | --- |")
            parts += [_row(case) for case in rows]
            parts.append("")
    return "\n".join(parts).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _row(case: Case) -> str:
    name = case.name.partition("/")[2].replace("-", " ")
    why = case.why + (f" Seen in: {case.known}." if case.known else "")
    for character in "\\`*_<>|#[]":
        why = why.replace(character, f"\\{character}")
    cells = [f"[{name}](../tests/wire/corpus/{case.name}.http)"]
    cells += [str(case.status)] if case.status else []
    return "| " + " | ".join([*cells, case.rule, why]) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
