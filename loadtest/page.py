"""report.html: one file with everything in it, made from the document alone; it fetches nothing."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtest import text
from loadtest.plots import Plot, as_svg, fault_plots, plots

__all__ = ["as_html"]

STYLE = Path(__file__).with_name("page.css")
# Nothing may be loaded: what is shown is in the file.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def as_html(document: Mapping[str, Any]) -> str:
    """Return the page."""
    commit = document["provenance"]["commit"] or "unknown"
    parts = [
        "<h1>Load test</h1>",
        f'<p class="quiet">{escaped(document["started"])}, commit {escaped(commit)}</p>',
    ]
    if not document["complete"]:
        parts.append('<p class="bad">Interrupted: this is what had been measured until then.</p>')
    parts += [
        "<h2>Verdicts</h2>",
        listed(text.verdicts(document)),
        table(text.HEADS, text.rows(document)),
        '<p class="quiet">In brackets: 95 % intervals over the rounds. Load generator, proxies, application '
        "and database shared the machine: compare the rows, not the numbers with others’.</p>",
    ]
    if wrong := text.problems(document):
        parts += ['<h2 class="bad">Not valid</h2>', listed(wrong)]
    if costs := text.proxy_costs(document):
        parts += ["<h2>What each proxy costs</h2>", table(text.COST_HEADS, costs)]
    drawn = plots(document)
    for name, about in document["scenarios"].items():
        mine = [plot for plot in drawn if plot.name.rpartition("-")[0] == name]
        parts += [f"<h2>{escaped(name)}</h2>", f"<p>{escaped(about['title'])}. {escaped(about['about'])}</p>"]
        if mine:
            parts.append(figures(mine))
        else:
            parts.append('<p class="quiet">There is no valid result to draw.</p>')
    if happened := text.faults(document):
        parts += [
            "<h2>Faults under load</h2>",
            table(text.FAULT_HEADS, happened),
            figures(fault_plots(document)),
        ]
    parts += ["<h2>How it was made</h2>", facts(text.provenance(document))]
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>Load test</title>"
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head>\n"
        f"<body>{chr(10).join(parts)}</body></html>\n"
    )


def figures(drawn: Iterable[Plot]) -> str:
    """Return plots side by side, where there is room."""
    each = (f"<figure><figcaption>{escaped(one.title)}</figcaption>{as_svg(one)}</figure>" for one in drawn)
    return f'<div class="plots">{"".join(each)}</div>'


def escaped(value: object) -> str:
    """Return text for HTML."""
    return html.escape(str(value))


def listed(lines: Iterable[str]) -> str:
    """Return a list."""
    return f"<ul>{''.join(f'<li>{escaped(line)}</li>' for line in lines)}</ul>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, which scrolls where it is wider than the page."""
    head = "".join(f"<th>{escaped(cell)}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and values; what stands in backticks is code."""
    rows = "".join(f"<tr><th>{escaped(name)}</th><td>{coded(value)}</td></tr>" for name, value in pairs)
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def coded(value: str) -> str:
    """Return a value, as code if it is one in backticks."""
    if value.startswith("`") and value.endswith("`"):
        return f"<code>{escaped(value[1:-1])}</code>"
    return escaped(value)
