"""How a plot is drawn: once, as SVG that takes its colours from the page, or as PNG.

matplotlib draws with the colours of a Palette. For the page these are marks that become CSS variables, so
that one drawing fits light, dark and paper.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

__all__ = [
    "PAGE",
    "PAPER",
    "Palette",
    "Plot",
    "as_png",
    "as_svg",
    "counted",
    "decades",
    "framed",
    "legend",
    "panels",
    "whole",
]

WIDTH, HEIGHT = 4.0, 2.8  # inches: small, so that the text can still be read on a phone
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class Palette:
    """Colours: of text and axes, of the grid, of the ground, of failures, of targets, and of roles."""

    ink: str
    line: str
    ground: str
    bad: str
    series: Sequence[str]
    roles: Sequence[str]

    def of(self, index: int) -> str:
        """Return the colour of the n-th target."""
        return self.series[index % len(self.series)]

    def line_of(self, index: int) -> dict[str, Any]:
        """Return how the line of the n-th target looks: told apart by more than its colour."""
        return {"color": self.of(index), "linestyle": STYLES[index % len(STYLES)], "linewidth": 1.4}

    def marked_line_of(self, index: int) -> dict[str, Any]:
        """Return the same with a mark at each point."""
        return {**self.line_of(index), "marker": MARKERS[index % len(MARKERS)], "markersize": 4}


# Marks that occur nowhere else in an SVG; as_svg replaces them.
PAGE = Palette(
    "#0f0e01", "#0f0e02", "#0f0e03", "#0f0e04",
    [f"#0f0e1{index}" for index in range(6)], [f"#0f0e2{index}" for index in range(4)],
)  # fmt: skip
VARIABLES = {
    PAGE.ink: "ink", PAGE.line: "line", PAGE.ground: "card", PAGE.bad: "bad",
    **{mark: f"series-{index}" for index, mark in enumerate(PAGE.series)},
    **{mark: f"role-{index}" for index, mark in enumerate(PAGE.roles)},
}  # fmt: skip
# As page.css has them for light and paper. People with any kind of colour vision tell the targets apart.
PAPER = Palette(
    "#1d1d1f", "#d8dbe0", "#ffffff", "#b3261e",
    ["#0072b2", "#c14f00", "#00805d", "#b0568a", "#8a6d00", "#5b5bd6"],
    ["#7a828c", "#7b4fb5", "#1b7f8c", "#b07a1e"],
)  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """One drawing: its name (of a file), its title, what it shows in words, how it is drawn, its height."""

    name: str
    title: str
    about: str
    draw: Callable[[Figure, Palette], None]
    height: float = HEIGHT


def framed(axes: Axes, palette: Palette) -> Axes:
    """Return axes without a box, with a quiet grid."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(palette.line)
    axes.grid(color=palette.line, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.ink, color=palette.line, which="both", length=2)
    return axes


def panels(figure: Figure, palette: Palette, count: int = 1, **options: Any) -> list[Axes]:
    """Return axes one below the other, which share what runs along."""
    found = figure.subplots(count, 1, sharex=True, squeeze=False, **options)
    return [framed(axes, palette) for axes in found[:, 0]]


def legend(figure: Figure, columns: int = 4) -> None:
    """Put the legend above the drawing, where it hides nothing; each name once."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper left", ncols=columns, columnspacing=1.0,
        handlelength=1.5, handletextpad=0.5, borderaxespad=0,
    )  # fmt: skip


def counted(value: float, _place: object = None) -> str:
    """Return a number of an axis: 0.5, 20, 1,500."""
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def decades(axes: Axes) -> None:
    """Let what runs up be logarithmic, with numbers that can be read: 0.1, 1, 10, or 1, 2, 5, 10."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 50 * low else (1.0, 2.0, 5.0), numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(counted))
    axes.yaxis.set_minor_formatter(NullFormatter())


def whole(axes: Axes, name: str) -> None:
    """Let what runs along be whole numbers of something."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(counted))
    axes.set_xlabel(name)


def drawn(plot: Plot, palette: Palette, form: str, **options: Any) -> bytes:
    """Return a plot in one of matplotlib's formats."""
    style: Any = {
        "font.size": 8.5, "text.color": palette.ink, "axes.labelcolor": palette.ink, "legend.frameon": False,
        "legend.fontsize": 8.5, "axes.titlesize": 8.5, "svg.fonttype": "none", "svg.hashsalt": plot.name,
    }  # fmt: skip
    with rc_context(style):
        figure = Figure(figsize=(WIDTH, plot.height), layout="constrained")
        plot.draw(figure, palette)
        output = io.BytesIO()
        figure.savefig(output, format=form, **options)
    return output.getvalue()


def as_png(plot: Plot) -> bytes:
    """Return a plot for paper, in few colours, so that the file is small."""
    picture = Image.open(io.BytesIO(drawn(plot, PAPER, "png", dpi=160, facecolor="white")))
    output = io.BytesIO()
    picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(output, "PNG", optimize=True)
    return output.getvalue()


def shorter(number: re.Match[str]) -> str:
    """Return a number with at most two digits after the point."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def as_svg(plot: Plot) -> str:
    """Return a plot for the page: an `svg` element whose colours are the page's variables."""
    text = drawn(plot, PAGE, "svg", transparent=True, metadata={"Date": None}).decode("utf-8")
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    # Several drawings share the page, so their names must differ; most are never used.
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    text = re.sub(
        r' id="([^"]+)"', lambda found: f' id="{plot.name}-{found[1]}"' if found[1] in used else "", text
    )
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{plot.name}-", text)
    text = re.sub(r'<svg ([^>]*?)\bwidth="[^"]*"', r"<svg \1", text)
    text = re.sub(r'<svg ([^>]*?)\bheight="[^"]*"', r"<svg \1", text)
    text = re.sub(r"#0f0e\d\d", lambda found: f"var(--{VARIABLES[found[0]]})", text)
    text = re.sub(r" ?font-family: [^;\"]+;", "", text)  # the page's is used
    # Positions to a hundredth of a point: half of the size, and nobody sees it.
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"-?\d+\.\d{3,}", shorter, tag[0]), text)
    label = html.escape(f"{plot.title}. {plot.about}")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
