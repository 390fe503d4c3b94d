"""report.html: one file with everything in it, made from the document alone; it fetches nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from loadtest.report import verdicts
from loadtest.report.drawing import Plot, as_svg
from loadtest.report.sections import Section, sections
from loadtest.report.tables import Table

__all__ = ["as_html"]

STYLE = Path(__file__).with_name("page.css")
# Nothing may be loaded: what is shown is in the file.
WIDE = 4  # columns: a table with more does not fit on a phone
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def as_html(document: Mapping[str, Any]) -> str:
    """Return the page."""
    parts = sections(document)
    names = [*((one.name, one.title) for one in parts), ("made", "How it was made, and is repeated")]
    links = "".join(f'<li><a href="#{escaped(name)}">{escaped(title)}</a></li>' for name, title in names)
    body = [
        "<header>",
        "<h1>Load test</h1>",
        f'<p class="quiet">{escaped(when(document))}</p>',
        *banner(document),
        f'<nav aria-label="Contents"><ul>{links}</ul></nav>',
        "</header>",
        "<main>",
        *(text for one in parts for text in part(one)),
        '<section id="made"><h2>How it was made</h2>',
        f"<p>The line that repeats it:</p><pre><code>{unbroken(document['command'])}</code></pre>",
        facts(verdicts.provenance(document)),
        "</section></main>",
    ]
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Load test, {escaped(document['started'])}</title>"
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head>\n"
        f"<body>{chr(10).join(body)}</body></html>\n"
    )


def unbroken(command: str) -> str:
    """Return a command line for HTML that is broken between its options only, if they fit into a line."""
    options = re.split(r" (?=--)", command)
    return " ".join(f"<span>{escaped(one)}</span>" for one in options)


def when(document: Mapping[str, Any]) -> str:
    """Return time, machine and commit in a line."""
    started = datetime.fromisoformat(document["started"])
    machine = document["machine"]
    commit = document["provenance"]["commit"] or "unknown"
    return (
        f"{started.day} {started:%B %Y, %H:%M} {started.tzname() or ''}, {machine['processor']}, "
        f"{machine['cpus']} CPUs, commit {commit}"
    )


def banner(document: Mapping[str, Any]) -> list[str]:
    """Return what a reader has to know before the figures: whether they are valid, and why not."""
    well, said = verdicts.status(document)
    wrong = verdicts.problems(document)
    kind, mark = ("good", "✓") if well else ("bad", "!")
    text = [f'<div class="banner {kind}"><p><span aria-hidden="true">{mark}</span> {escaped(said)}</p>']
    if wrong:
        text.append(listed(wrong))
    return [*text, "</div>"]


def part(section: Section) -> list[str]:
    """Return one part of the page."""
    text = [f'<section id="{escaped(section.name)}">', f"<h2>{escaped(section.title)}</h2>"]
    if len(section.said) > 2:
        text.append(listed(section.said))
    else:
        text += [f"<p>{with_code(line)}</p>" for line in section.said]
    text += [table(one) for one in section.tables]
    text += [f'<p class="quiet">{escaped(line)}</p>' for line in section.notes]
    if section.plots:
        text.append(f'<div class="plots">{"".join(figure(one) for one in section.plots)}</div>')
    return [*text, "</section>"]


def figure(plot: Plot) -> str:
    """Return a plot with its title."""
    return f"<figure><figcaption>{escaped(plot.title)}</figcaption>{as_svg(plot)}</figure>"


def escaped(value: object) -> str:
    """Return text for HTML."""
    return html.escape(str(value))


def listed(lines: Iterable[str]) -> str:
    """Return a list."""
    return f"<ul>{''.join(f'<li>{escaped(line)}</li>' for line in lines)}</ul>"


def table(one: Table) -> str:
    """Return a table; on a phone each row of a wide one is a card, with the heads beside the cells."""
    head = "".join(
        f'<th role="columnheader" scope="col"{kind(one, place)}>{escaped(cell)}</th>'
        for place, cell in enumerate(one.heads)
    )
    marks = one.marks or [False] * len(one.rows)
    body, before = [], ""
    for row, mark in zip(one.rows, marks, strict=True):
        begins = one.names > 1 and before not in ("", row[0])
        names = [name for name, so in (("bad", mark), ("next", begins)) if so]
        before = row[0]
        body.append(f'<tr role="row"{classes(names)}>{"".join(cells(one, row))}</tr>')
    width = "scroll wide" if len(one.heads) > WIDE else "scroll"
    # The roles are those that the elements have anyway; some browsers forget them where tables are cards.
    return (
        f'<div class="{width}" role="region" tabindex="0" aria-label="{escaped(one.caption)}">'
        f'<table role="table"><caption>{escaped(one.caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(body)}</tbody></table></div>'
    )


def cells(one: Table, row: Sequence[str]) -> Iterable[str]:
    """Return the cells of a row; the first ones say what it is about."""
    for place, (head, cell) in enumerate(zip(one.heads, row, strict=True)):
        if place < one.names:
            yield f'<th role="rowheader" scope="row">{escaped(cell)}</th>'
        else:
            unsure = ["quiet"] if cell.startswith("(") else []
            attributes = f'{kind(one, place, unsure)} data-head="{escaped(head)}"'
            yield f'<td role="cell"{attributes}>{escaped(cell)}</td>'


def kind(one: Table, place: int, more: Sequence[str] = ()) -> str:
    """Return the classes of a cell or head in this column."""
    is_word = place < one.names or (one.worded and place == len(one.heads) - 1)
    return classes([*([] if is_word else ["number"]), *more])


def classes(names: Sequence[str]) -> str:
    """Return a class attribute, if there are classes."""
    return f' class="{" ".join(names)}"' if names else ""


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and values."""
    rows = "".join(f"<dt>{escaped(name)}</dt><dd>{with_code(value)}</dd>" for name, value in pairs)
    return f"<dl>{rows}</dl>"


def with_code(text: str) -> str:
    """Return text for HTML; what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped(text))
