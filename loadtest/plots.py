"""The plots of a report, from its document alone: as SVG that takes its colours from the page, or as PNG.

matplotlib draws with the colours of a Palette. For the page these are marks that become CSS variables, so
that one drawing fits light, dark and paper.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtest.histogram import merged

__all__ = ["PAGE", "PAPER", "Palette", "Plot", "as_png", "as_svg", "fault_plots", "plots"]

SIZE = (4.8, 3.2)  # inches: small, so that the text can still be read on a phone
NINES = {0.5: "50", 0.9: "90", 0.99: "99", 0.999: "99.9", 0.9999: "99.99", 0.99999: "99.999"}
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
ROLES = ("load", "caddy", "nginx", "apache", "app", "db")
NAMES = {"load": "load generator", "app": "application", "db": "database"}


@dataclass(frozen=True)
class Palette:
    """Colours: of text and axes, of the grid, and of what is compared."""

    ink: str
    line: str
    series: Sequence[str]

    def of(self, index: int) -> str:
        """Return the colour of the n-th thing."""
        return self.series[index % len(self.series)]


# Marks that occur nowhere else in an SVG; as_svg replaces them.
PAGE = Palette("#0f0e01", "#0f0e02", [f"#0f0e1{index}" for index in range(6)])
# Okabe and Ito's colours, which people with any kind of colour vision tell apart.
PAPER = Palette("#222222", "#dddddd", ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"])


@dataclass(frozen=True)
class Plot:
    """One drawing: its name (of a file), what it says, and how it is drawn."""

    name: str
    title: str
    draw: Callable[[Figure, Palette], None]


def plots(document: Mapping[str, Any]) -> list[Plot]:
    """Return the plots that a document has figures for."""
    valid = [result for result in document["results"] if result["valid"]]
    found = []
    for scenario, about in document["scenarios"].items():
        mine = [result for result in valid if result["scenario"] == scenario]
        if not mine:
            continue
        judged = "requests a second" if about["measure"] == "requests_per_s" else "p99 in ms (less is better)"
        found += [
            Plot(f"{scenario}-value", f"{scenario}: {judged}", values(document, mine)),
            Plot(f"{scenario}-latency", f"{scenario}: latency by percentile", latencies(document, mine)),
            Plot(f"{scenario}-cpu", f"{scenario}: processor time per request", costs(document, mine)),
        ]
        if any(run["series"] for run in document["runs"] if run["scenario"] == scenario):
            title = f"{scenario}: requests in each second"
            found.append(Plot(f"{scenario}-time", title, times(document, scenario)))
        swept = [point for point in document["sweeps"] if point["scenario"] == scenario and point["valid"]]
        if swept:
            load = "connections" if swept[0]["by"] == "connections" else "offered requests a second"
            for name, what, value in (("rates", "requests a second", rate_of), ("p99s", "p99 in ms", p99_of)):
                title = f"{scenario}: {what} by {load}"
                found.append(Plot(f"{scenario}-{name}", title, sweep(document, swept, load, value)))
    return found


def fault_plots(document: Mapping[str, Any]) -> list[Plot]:
    """Return a plot for each fault and target: requests and failures by second, and when it happened."""
    return [
        Plot(f"fault-{number}", f"{one['title']}, {one['target']}", timeline(one))
        for number, one in enumerate(document["faults"], 1)
        if one["series"]
    ]


def timeline(fault: Mapping[str, Any]) -> Callable[..., None]:
    """Return what draws the seconds of a fault."""

    def draw(figure: Figure, palette: Palette) -> None:
        axes = framed(figure, palette)
        seconds = [entry[0] for entry in fault["series"]]
        failed = [entry[2] for entry in fault["series"]]
        right = [entry[1] - entry[2] for entry in fault["series"]]
        axes.bar(seconds, right, color=palette.of(0), width=0.8, align="edge", label="answered rightly")
        axes.bar(seconds, failed, bottom=right, color=palette.of(1), width=0.8, align="edge", label="failed")
        for at, _ in fault["events"]:
            axes.axvline(at, color=palette.ink, linestyle="--", linewidth=1)
        axes.set_xlabel("second (dashed: it begins, it is done)")
        axes.set_ylabel("requests")
        legend(figure)

    return draw


def rate_of(point: Mapping[str, Any]) -> float:
    """Return the rate of a run or a point."""
    return float(point["requests_per_s"])


def p99_of(point: Mapping[str, Any]) -> float:
    """Return the p99 of a run or a point in milliseconds."""
    return float(point["latency_us"]["p99"]) / 1e3


def sweep(
    document: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
    load: str,
    value: Callable[[Mapping[str, Any]], float],
) -> Callable[..., None]:
    """Return what draws something against the load."""

    def draw(figure: Figure, palette: Palette) -> None:
        axes = framed(figure, palette)
        for index, target in enumerate(document["targets"]):
            mine = [point for point in points if point["target"] == target]
            axes.plot([point["at"] for point in mine], [value(point) for point in mine], linewidth=1.3,
                      color=palette.of(index), linestyle=STYLES[index % len(STYLES)],
                      marker=MARKERS[index % len(MARKERS)], markersize=4, label=target)  # fmt: skip
        steps = sorted({point["at"] for point in points})
        axes.set_xscale("log")
        axes.set_xticks(steps, [str(step) for step in steps])
        axes.set_xticks([], minor=True)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(load)
        legend(figure)

    return draw


def values(document: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> Callable[..., None]:
    """Return what draws each target's value with its interval, and each round as a dot."""

    def draw(figure: Figure, palette: Palette) -> None:
        axes = framed(figure, palette)
        order = list(document["targets"])
        for place, result in enumerate(reversed(results)):
            value, colour = result["value"], palette.of(order.index(result["target"]))
            of = p99_of if result["measure"] == "p99_ms" else rate_of
            rounds = [
                of(run)
                for run in document["runs"]
                if (run["scenario"], run["target"]) == (result["scenario"], result["target"])
            ]
            axes.barh(place, value["value"], color=colour, alpha=0.35, height=0.62)
            axes.plot(rounds, [place] * len(rounds), "o", color=colour, markersize=3)
            if value["low"] is not None:
                ends = [[value["value"] - max(value["low"], 0)], [value["high"] - value["value"]]]
                axes.errorbar(value["value"], place, xerr=ends, color=palette.ink, capsize=3, linewidth=1)
        axes.set_yticks(range(len(results)), [result["target"] for result in reversed(results)])
        axes.set_xlim(left=0)
        axes.grid(axis="y", visible=False)

    return draw


def latencies(document: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> Callable[..., None]:
    """Return what draws latency against percentile; each nine of the percentile has the same width."""

    def draw(figure: Figure, palette: Palette) -> None:
        axes = framed(figure, palette)
        order = list(document["targets"])
        most = 1
        for result in results:
            index = order.index(result["target"])
            counts = merged(
                run["histogram"]
                for run in document["runs"]
                if (run["scenario"], run["target"]) == (result["scenario"], result["target"])
            )
            total = sum(count for _, count in counts)
            most = max(most, total)
            along, up, seen = [], [], 0
            for value, count in counts:
                seen += count
                # The last request's percentile is 100, which is infinitely many nines away.
                along.append(nines(min(seen, total - 0.5) / total))
                up.append(value / 1e3)
            axes.step(along, up, where="post", color=palette.of(index), linestyle=STYLES[index % len(STYLES)],
                      linewidth=1.3, label=result["target"])  # fmt: skip
        axes.set_yscale("log")
        shown = {share: label for share, label in NINES.items() if share < 1 - 0.5 / most}
        axes.set_xticks([nines(share) for share in shown], list(shown.values()))
        axes.set_xlim(0, nines(1 - 0.5 / most))
        axes.set_xlabel("percentile")
        axes.set_ylabel("ms")
        legend(figure)

    return draw


def nines(share: float) -> float:
    """Return how many nines a share has: 0.9 has one, 0.99 two."""
    return -math.log10(1 - share)


def costs(document: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> Callable[..., None]:
    """Return what draws the processor time of a request, stacked by role."""

    def draw(figure: Figure, palette: Palette) -> None:
        axes = framed(figure, palette)
        roles = [role for role in ROLES if any(role in result["cpu_us_per_request"] for result in results)]
        targets = [result["target"] for result in results]
        bottom = [0.0] * len(results)
        colours = {"load": 0, "proxy": 1, "app": 2, "db": 3}
        labelled = set()
        for role in roles:
            kind = role if role in colours else "proxy"
            sizes = [result["cpu_us_per_request"].get(role, 0.0) for result in results]
            label = None if kind in labelled else NAMES.get(kind, kind)
            labelled.add(kind)
            axes.bar(targets, sizes, bottom=bottom, color=palette.of(colours[kind]), label=label, width=0.62)
            bottom = [below + size for below, size in zip(bottom, sizes, strict=True)]
        axes.set_ylabel("µs per request")
        axes.grid(axis="x", visible=False)
        legend(figure)

    return draw


def times(document: Mapping[str, Any], scenario: str) -> Callable[..., None]:
    """Return what draws the requests of each second, and the failed ones."""

    def draw(figure: Figure, palette: Palette) -> None:
        axes = framed(figure, palette)
        for index, target in enumerate(document["targets"]):
            runs = [
                run["series"]
                for run in document["runs"]
                if (run["scenario"], run["target"]) == (scenario, target) and run["series"]
            ]
            if not runs:
                continue
            series = [entry for entry in runs[0] if entry[0] < int(document["settings"]["duration_s"])]
            seconds = [entry[0] for entry in series]
            axes.plot(seconds, [entry[1] for entry in series], color=palette.of(index), linewidth=1.3,
                      linestyle=STYLES[index % len(STYLES)], marker=MARKERS[index % len(MARKERS)],
                      markersize=3, label=target)  # fmt: skip
            failed = [(entry[0], entry[1]) for entry in series if entry[2]]
            axes.plot(
                [at for at, _ in failed], [up for _, up in failed], "x", color=palette.ink, markersize=7
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("second of the first round (x: with failures)")
        axes.set_ylabel("requests")
        legend(figure)

    return draw


def framed(figure: Figure, palette: Palette) -> Axes:
    """Return axes without a box, with a quiet grid."""
    axes: Axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(palette.line)
    axes.grid(color=palette.line, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.ink, color=palette.line, which="both", length=2)
    return axes


def legend(figure: Figure) -> None:
    """Put the legend above the drawing, where it hides nothing."""
    figure.legend(loc="outside upper left", ncols=4, columnspacing=1.2, handlelength=1.6)


def drawn(plot: Plot, palette: Palette, form: str, **options: Any) -> bytes:
    """Return a plot in one of matplotlib's formats."""
    style: Any = {
        "font.size": 9, "text.color": palette.ink, "axes.labelcolor": palette.ink, "legend.frameon": False,
        "legend.fontsize": 8, "svg.fonttype": "none", "svg.hashsalt": plot.name,
    }  # fmt: skip
    with rc_context(style):
        figure = Figure(figsize=SIZE, layout="constrained")
        plot.draw(figure, palette)
        output = io.BytesIO()
        figure.savefig(output, format=form, **options)
    return output.getvalue()


def as_png(plot: Plot) -> bytes:
    """Return a plot for paper."""
    return drawn(plot, PAPER, "png", dpi=160, facecolor="white")


def as_svg(plot: Plot) -> str:
    """Return a plot for the page: an `svg` element whose colours are the page's variables."""
    text = drawn(plot, PAGE, "svg", transparent=True, metadata={"Date": None}).decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    # Several drawings share the page, so their names must differ.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{plot.name}-\1"', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{plot.name}-", text)
    text = re.sub(r'<svg ([^>]*?)\bwidth="[^"]*"', r"<svg \1", text)
    text = re.sub(r'<svg ([^>]*?)\bheight="[^"]*"', r"<svg \1", text)
    text = text.replace(PAGE.ink, "var(--ink)").replace(PAGE.line, "var(--line)")
    for index, mark in enumerate(PAGE.series):
        text = text.replace(mark, f"var(--series-{index})")
    label = plot.title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
