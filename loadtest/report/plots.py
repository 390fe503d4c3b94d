"""The plots of the scenarios of a report: what its document has figures for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from loadtest.histogram import merged
from loadtest.report import words
from loadtest.report.drawing import HEIGHT, Palette, Plot, counted, decades, framed, legend, panels, whole
from loadtest.report.numbers import Cost, cores_used, costs, latency_ms, runs_of, servers_cores, valid_results
from loadtest.report.tables import NAMES, ROLES, by_kind
from loadtest.results import value_of
from loadtest.stats import Interval

__all__ = ["nines", "of_scenario", "p99_ms"]

NINES = {0.5: "50", 0.9: "90", 0.99: "99", 0.999: "99.9", 0.9999: "99.99", 0.99999: "99.999"}
Result = Mapping[str, Any]


def of_scenario(document: Mapping[str, Any], scenario: str) -> list[Plot]:
    """Return the plots that there are figures for."""
    results = valid_results(document, scenario)
    found: list[Plot] = []
    if results:
        found += [
            value_plot(document, scenario, results),
            latency_plot(document, scenario, results),
            cores_plot(document, scenario, results),
            cpu_plot(scenario, results),
        ]
    if spent := [one for one in costs(document) if one.scenario == scenario]:
        found.append(cost_plot(document, scenario, spent))
    swept = [point for point in document["sweeps"] if point["scenario"] == scenario and point["valid"]]
    for by in dict.fromkeys(point["by"] for point in swept):
        found.append(load_plot(document, scenario, by, [point for point in swept if point["by"] == by]))
    lasting = document["settings"]["duration_s"] > 1
    if lasting and any(run["series"] for run in document["runs"] if run["scenario"] == scenario):
        found.append(time_plot(document, scenario))
    return found


def place_of(document: Mapping[str, Any], target: str) -> int:
    """Return which target it is: its colour, line and mark are the same in all plots."""
    return list(document["targets"]).index(target)


def value_plot(document: Mapping[str, Any], scenario: str, results: Sequence[Result]) -> Plot:
    """Return each target's value with its interval, and each round as a dot."""
    measure = results[0]["measure"]
    judged = "requests a second" if measure == "requests_per_s" else "p99 in ms, less is better"
    figures = [f"{one['target']} {words.estimate(Interval(**one['value']))}" for one in results]

    def draw(figure: Figure, palette: Palette) -> None:
        [axes] = panels(figure, palette)
        for place, result in enumerate(reversed(results)):
            value = Interval(**result["value"])
            colour = palette.of(place_of(document, result["target"]))
            rounds = [value_of(run, measure) for run in runs_of(document, scenario, result["target"])]
            axes.barh(place, value.value, color=colour, alpha=0.3, height=0.6)
            axes.plot(rounds, [place] * len(rounds), "o", color=colour, markersize=3.5)
            if value.low is not None and value.high is not None:
                ends = [[value.value - max(value.low, 0)], [value.high - value.value]]
                axes.errorbar(value.value, place, xerr=ends, color=palette.ink, capsize=3, linewidth=1)
        axes.set_yticks(range(len(results)), [result["target"] for result in reversed(results)])
        axes.xaxis.set_major_formatter(counted)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlim(left=0)
        axes.grid(axis="y", visible=False)

    height = min(HEIGHT, 0.9 + 0.5 * len(results))
    shown = (
        f"Bars with the mean of the rounds, dots for each, lines for 95 % intervals: {'; '.join(figures)}."
    )
    return Plot(f"{scenario}-value", f"{scenario}: {judged}", shown, draw, max(height, 1.4))


def latency_plot(document: Mapping[str, Any], scenario: str, results: Sequence[Result]) -> Plot:
    """Return latency against percentile; each nine of the percentile has the same width."""

    def draw(figure: Figure, palette: Palette) -> None:
        [axes] = panels(figure, palette)
        most = 1
        for result in results:
            counts = merged(run["histogram"] for run in runs_of(document, scenario, result["target"]))
            total = sum(count for _, count in counts)
            most = max(most, total)
            along, up = curve(counts, total)
            style = palette.line_of(place_of(document, result["target"]))
            axes.step(along, up, where="post", label=result["target"], **style)
        decades(axes)
        shown = {share: label for share, label in NINES.items() if share < 1 - 0.5 / most}
        axes.set_xticks([nines(share) for share in shown], list(shown.values()))
        axes.set_xlim(0, nines(1 - 0.5 / most))
        axes.set_xlabel("percentile")
        axes.set_ylabel("ms")
        legend(figure)

    figures = [
        f"{one['target']} p50 {words.amount(one['latency_us']['p50'] / 1e3)} ms, "
        f"p99 {words.amount(one['latency_us']['p99'] / 1e3)} ms"
        for one in results
    ]
    shown = f"Lines of latency that rise with the percentile, of all rounds together: {'; '.join(figures)}."
    return Plot(f"{scenario}-latency", f"{scenario}: latency by percentile", shown, draw)


def curve(counts: Sequence[Sequence[int]], total: int) -> tuple[list[float], list[float]]:
    """Return nines of the percentile, and milliseconds, as many points as can be told apart."""
    along: list[float] = []
    up: list[float] = []
    seen = 0
    for value, count in counts:
        seen += count
        # The last request's percentile is 100, which is infinitely many nines away.
        place = nines(min(seen, total - 0.5) / total)
        if along and seen < total and place - along[-1] < 0.005 and value / 1e3 < up[-1] * 1.01:
            continue
        along.append(place)
        up.append(value / 1e3)
    return along, up


def nines(share: float) -> float:
    """Return how many nines a share has: 0.9 has one, 0.99 two."""
    return -math.log10(1 - share)


def cores_plot(document: Mapping[str, Any], scenario: str, results: Sequence[Result]) -> Plot:
    """Return the cores that each role kept busy, next to how many there are: with --pin, the servers'."""
    used = {
        result["target"]: by_kind(cores_used(runs_of(document, scenario, result["target"])))
        for result in results
    }
    there, pinned = servers_cores(document), document["provenance"]["pinned"]
    if pinned:
        used = {
            target: {role: cores for role, cores in roles.items() if role != "load"}
            for target, roles in used.items()
        }

    def draw(figure: Figure, palette: Palette) -> None:
        stacked(figure, palette, used, "cores of the servers" if pinned else "cores")
        [axes] = figure.axes
        axes.axvline(there, color=palette.ink, linewidth=1, linestyle="--")
        axes.set_xlim(0, max([there, *(sum(roles.values()) for roles in used.values())]) * 1.05)
        axes.annotate(
            f"all {there} ",
            (there, 1),
            xycoords=("data", "axes fraction"),
            ha="right",
            va="bottom",
            fontsize=8,
        )

    figures = [f"{target} {sum(roles.values()):.2f}" for target, roles in used.items()]
    what = "the load generator has its own" if pinned else "load generator included"
    shown = f"Bars stacked by role, of {there} core{'s' if there > 1 else ''}, {what}: {'; '.join(figures)}."
    return Plot(f"{scenario}-cores", f"{scenario}: what was busy", shown, draw, bars_height(used))


def cpu_plot(scenario: str, results: Sequence[Result]) -> Plot:
    """Return the processor time of a request, stacked by role."""
    used = {result["target"]: by_kind(result["cpu_us_per_request"]) for result in results}

    def draw(figure: Figure, palette: Palette) -> None:
        stacked(figure, palette, used, "µs per request")

    figures = [f"{target} {words.amount(sum(roles.values()))} µs" for target, roles in used.items()]
    shown = f"Bars stacked by role, load generator included: {'; '.join(figures)}."
    return Plot(f"{scenario}-cpu", f"{scenario}: processor time per request", shown, draw, bars_height(used))


def bars_height(used: Mapping[str, object]) -> float:
    """Return the height of a drawing of horizontal bars with a legend and a label."""
    return min(HEIGHT, 1.2 + 0.4 * len(used))


def stacked(figure: Figure, palette: Palette, used: Mapping[str, Mapping[str, float]], unit: str) -> None:
    """Draw a horizontal bar for each target, in parts by role."""
    [axes] = panels(figure, palette)
    targets = list(used)[::-1]
    left = [0.0] * len(targets)
    for role, colour in zip(ROLES, palette.roles, strict=True):
        sizes = [used[target].get(role, 0.0) for target in targets]
        if any(sizes):
            axes.barh(targets, sizes, left=left, color=colour, label=NAMES[role], height=0.6,
                      edgecolor=palette.ground, linewidth=0.8)  # fmt: skip
        left = [below + size for below, size in zip(left, sizes, strict=True)]
    axes.xaxis.set_major_formatter(counted)
    axes.set_xlim(0, max(left, default=0.0) * 1.04 or 1)
    axes.set_xlabel(unit)
    axes.grid(axis="y", visible=False)
    legend(figure)


def cost_plot(document: Mapping[str, Any], scenario: str, spent: Sequence[Cost]) -> Plot:
    """Return what each target adds to the application alone: rate, p50, p99 and processor time."""
    measures: list[tuple[str, Callable[[Cost], Interval | None]]] = [
        ("requests a second, %", lambda one: one.rate and in_percent(one.rate)),
        ("CPU µs per request", lambda one: one.cpu_us),
        ("p50 in ms", lambda one: one.p50_ms),
        ("p99 in ms", lambda one: one.p99_ms),
    ]
    measures = [(title, of) for title, of in measures if any(of(one) for one in spent)]

    def draw(figure: Figure, palette: Palette) -> None:
        rows = math.ceil(len(measures) / 2)
        grid = list(figure.subplots(rows, 2, squeeze=False).flat)
        for axes in grid[len(measures) :]:
            axes.set_visible(False)
        for (title, of), axes in zip(measures, grid, strict=False):
            framed(axes, palette)
            for place, one in enumerate(reversed(spent)):
                dot(axes, of(one), place, palette, place_of(document, one.target))
            axes.axvline(0, color=palette.ink, linewidth=0.8)
            axes.set_yticks(range(len(spent)), [one.target for one in reversed(spent)])
            axes.set_ylim(-0.6, len(spent) - 0.4)
            axes.grid(axis="y", visible=False)
            axes.xaxis.set_major_formatter(counted)
            axes.locator_params(axis="x", nbins=4)
            axes.set_title(title, loc="left", color=palette.ink)

    shown = "Differences to the application alone with 95 % intervals; the table of costs has the figures."
    height = (0.55 + 0.26 * len(spent)) * math.ceil(len(measures) / 2) + 0.3
    return Plot(
        f"{scenario}-cost", f"{scenario}: costs next to direct", shown, draw, min(max(height, 1.6), 3.6)
    )


def in_percent(ratio: Interval) -> Interval:
    """Return a ratio as a change in percent."""
    ends = (None if end is None else (end - 1) * 100 for end in (ratio.low, ratio.high))
    return Interval((ratio.value - 1) * 100, *ends)


def dot(axes: Any, value: Interval | None, place: int, palette: Palette, index: int) -> None:
    """Draw a value with its interval."""
    if value is None:
        return
    if value.low is not None and value.high is not None:
        ends = [[value.value - value.low], [value.high - value.value]]
        axes.errorbar(value.value, place, xerr=ends, color=palette.of(index), capsize=3, linewidth=1.2)
    axes.plot(value.value, place, "o", color=palette.of(index), markersize=5)


def load_plot(
    document: Mapping[str, Any], scenario: str, by: str, points: Sequence[Mapping[str, Any]]
) -> Plot:
    """Return what happens with less and more load: p50 and p99 by offered rate, or else rate and p99."""
    by_rate = by == "rate"
    first = (("p50 in ms", lambda one: latency_ms(one, "p50")) if by_rate
             else ("requests a second", lambda one: float(one["requests_per_s"])))  # fmt: skip
    measures: list[tuple[str, Callable[[Mapping[str, Any]], float]]] = [
        first,
        ("p99 in ms", lambda one: latency_ms(one, "p99")),
    ]
    load = "offered tasks a second" if by_rate else by

    def draw(figure: Figure, palette: Palette) -> None:
        for axes, (title, of) in zip(panels(figure, palette, 2), measures, strict=True):
            for index, target in enumerate(document["targets"]):
                mine = sorted((p for p in points if p["target"] == target), key=lambda point: point["at"])
                if mine:
                    axes.plot([point["at"] for point in mine], [of(point) for point in mine], label=target,
                              **palette.marked_line_of(index))  # fmt: skip
            axes.set_title(title, loc="left", color=palette.ink)
            if title.endswith("ms"):
                decades(axes)
            else:
                axes.set_ylim(bottom=0)
                axes.yaxis.set_major_formatter(counted)
        steps = sorted({point["at"] for point in points})
        axes.set_xscale("log")
        axes.set_xticks(steps, [counted(step) for step in steps])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(load)
        legend(figure)

    title = (
        f"{scenario}: latency against offered rate"
        if by_rate
        else f"{scenario}: throughput against concurrency"
    )
    last = max(point["at"] for point in points)
    figures = [f"{p['target']} {words.amount(p['requests_per_s'])} requests a second, p99 "
               f"{words.amount(latency_ms(p, 'p99'))} ms" for p in points if p["at"] == last]  # fmt: skip
    shown = f"Two panels of lines against {load}, one short run a point. At {last:,}: {'; '.join(figures)}."
    return Plot(f"{scenario}-{by}", title, shown, draw, 3.6)


def time_plot(document: Mapping[str, Any], scenario: str) -> Plot:
    """Return the requests of each second of the first round, the failed ones, and p99."""
    lasts = int(document["settings"]["duration_s"])
    firsts: dict[str, list[list[int]]] = {}
    for target in document["targets"]:
        found = (run["series"] for run in runs_of(document, scenario, target) if run["series"])
        series: list[list[int]] = next(found, [])
        # What comes later is no whole second.
        firsts[target] = [entry for entry in series if entry[0] < lasts]
    timed = any(len(entry) > 3 for one in firsts.values() for entry in one)

    def draw(figure: Figure, palette: Palette) -> None:
        rates, *more = panels(figure, palette, 2 if timed else 1)
        for target, series in firsts.items():
            style = palette.marked_line_of(place_of(document, target))
            rates.plot([entry[0] for entry in series], [entry[1] for entry in series], label=target, **style)
            failed = [entry for entry in series if entry[2]]
            rates.plot([entry[0] for entry in failed], [entry[1] for entry in failed], "x", color=palette.bad,
                       markersize=8)  # fmt: skip
            for axes in more:
                axes.plot([entry[0] for entry in series], [p99_ms(entry) for entry in series], **style)
        rates.set_title("requests (x: some failed)", loc="left", color=palette.ink)
        for axes in (rates, *more):
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_formatter(counted)
        for axes in more:
            axes.set_title("p99 in ms", loc="left", color=palette.ink)
        whole((rates, *more)[-1], "second of the first round")
        legend(figure)

    failed = sum(
        entry[2] for run in document["runs"] if run["scenario"] == scenario for entry in run["series"]
    )
    what = "requests and of p99" if timed else "requests"
    shown = f"Lines of the {what} in each second for each target; {failed} requests failed in all rounds."
    return Plot(f"{scenario}-time", f"{scenario}: second by second", shown, draw, 3.6 if timed else HEIGHT)


def p99_ms(entry: Sequence[int]) -> float:
    """Return the p99 of a second; nothing where there was no answer."""
    return entry[4] / 1e3 if len(entry) > 4 and entry[4] else math.nan
