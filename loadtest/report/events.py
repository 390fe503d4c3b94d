"""The plots of what happens in a run: pools of different sizes, users who arrive, faults."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from loadtest.report import words
from loadtest.report.drawing import HEIGHT, Palette, Plot, counted, decades, legend, panels, whole
from loadtest.report.numbers import pool_sizes
from loadtest.report.plots import p99_ms

__all__ = ["of_faults", "of_pool", "of_ramps"]


def of_pool(document: Mapping[str, Any]) -> list[Plot]:
    """Return throughput and p99 against the size of the pool."""
    valid = [one for one in pool_sizes(document) if one.rate and one.p99_ms]
    if not valid:
        return []

    def draw(figure: Figure, palette: Palette) -> None:
        top, bottom = panels(figure, palette, 2)
        values = ((top, "requests a second", [one.rate for one in valid]),
                  (bottom, "p99 in ms", [one.p99_ms for one in valid]))  # fmt: skip
        for axes, title, found in values:
            sizes = [one.size for one in valid]
            middles = [value.value for value in found if value]
            axes.plot(sizes, middles, **palette.marked_line_of(0))
            known = [(size, value) for size, value in zip(sizes, found, strict=True) if value and value.known]
            if known:
                low = [max(value.low or 0.0, 0.0) for _, value in known]
                high = [value.high or 0.0 for _, value in known]
                axes.fill_between([size for size, _ in known], low, high, color=palette.of(0), alpha=0.2,
                                  linewidth=0, label="95 % interval")  # fmt: skip
            axes.set_title(title, loc="left", color=palette.ink)
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_formatter(counted)
        bottom.set_xscale("log")
        bottom.set_xticks([one.size for one in valid], [counted(one.size) for one in valid])
        bottom.set_xticks([], minor=True)
        bottom.set_xlabel("connections of the pool")
        legend(figure)

    figures = [f"{one.size} connections {words.estimate(one.rate)}" for one in valid if one.rate]
    shown = f"Two panels of lines against the size of the pool. Requests a second: {'; '.join(figures)}."
    return [Plot("pool", "Throughput and p99 by size of the pool", shown, draw, 3.4)]


def of_ramps(document: Mapping[str, Any]) -> list[Plot]:
    """Return for each scenario the users, throughput and p99 of its ramps, second by second."""
    ramps: dict[str, list[Mapping[str, Any]]] = {}
    for one in document.get("ramps", ()):
        if one["series"]:
            ramps.setdefault(one["scenario"], []).append(one)
    return [ramp_plot(document, scenario, mine) for scenario, mine in ramps.items()]


def ramp_plot(document: Mapping[str, Any], scenario: str, ramps: Sequence[Mapping[str, Any]]) -> Plot:
    """Return one scenario's ramps, a line for each target."""
    targets = list(document["targets"])

    def draw(figure: Figure, palette: Palette) -> None:
        users, rates, times = panels(figure, palette, 3, height_ratios=(2, 3, 3))
        for one in ramps:
            style = palette.line_of(targets.index(one["target"]))
            series = one["series"]
            seconds = [entry[0] for entry in series]
            users.step(seconds, [entry[1] for entry in series], where="post", label=one["target"], **style)
            rates.plot(seconds, [entry[2] for entry in series], **style)
            failed = [entry for entry in series if entry[3]]
            rates.plot([entry[0] for entry in failed], [entry[2] for entry in failed], "x", color=palette.bad)
            answered = [entry for entry in series if entry[5]]
            times.plot([entry[0] for entry in answered], [entry[5] / 1e3 for entry in answered], **style)
        for axes, title in ((users, "users"), (rates, "requests in each second (x: some failed)"),
                            (times, "p99 in ms")):  # fmt: skip
            axes.set_title(title, loc="left", color=palette.ink)
            axes.yaxis.set_major_formatter(counted)
        users.set_ylim(bottom=0)
        rates.set_ylim(bottom=0)
        if any(entry[5] for one in ramps for entry in one["series"]):
            decades(times)
        whole(times, "second")
        legend(figure)

    figures = []
    for one in ramps:
        best = max(one["series"], key=lambda entry: entry[2])
        figures.append(f"{one['target']} at most {best[2]:,} requests in a second, with {best[1]:,} users")
    shown = f"Three panels of lines over time: users, requests, p99. {'; '.join(figures)}."
    return Plot(f"ramp-{scenario}", f"{scenario}: while users arrive", shown, draw, 4.4)


def of_faults(document: Mapping[str, Any]) -> list[Plot]:
    """Return a plot for each fault and target: requests and failures by second, and when it happened."""
    return [
        fault_plot(f"fault-{number}", one)
        for number, one in enumerate(document["faults"], 1)
        if one["series"]
    ]


def fault_plot(name: str, fault: Mapping[str, Any]) -> Plot:
    """Return the seconds of a fault: requests, p99, and what happened."""
    series, events = fault["series"], sorted(fault["events"], key=lambda event: event[0])
    timed = any(len(entry) > 3 for entry in series)

    def draw(figure: Figure, palette: Palette) -> None:
        axes, *more = panels(figure, palette, 2 if timed else 1, height_ratios=(3, 2)[: 1 + timed])
        seconds = [entry[0] for entry in series]
        failed = [entry[2] for entry in series]
        right = [entry[1] - entry[2] for entry in series]
        axes.bar(
            seconds,
            right,
            color=palette.of(0),
            alpha=0.45,
            width=0.85,
            align="edge",
            label="answered rightly",
        )
        axes.bar(seconds, failed, bottom=right, color=palette.bad, width=0.85, align="edge", label="failed")
        top = max((entry[1] for entry in series), default=1) or 1
        axes.set_ylim(0, top * 1.2)
        for numbers, at in marks(events, near=len(series) / 20):
            axes.annotate(numbers, (at, top * 1.06), ha="center", va="bottom", color=palette.ink)
        for at, _ in events:
            axes.vlines(at, 0, top * 1.06, color=palette.ink, linestyle="--", linewidth=1)
            for below in more:
                below.axvline(at, color=palette.ink, linestyle="--", linewidth=1)
        for below in more:
            # In the middle of its second.
            below.plot([second + 0.43 for second in seconds], [p99_ms(entry) for entry in series],
                       **palette.marked_line_of(0))  # fmt: skip
            below.set_ylim(bottom=0)
            below.yaxis.set_major_formatter(counted)
            below.set_ylabel("p99 ms")
        said = [f"{number}: {text}, at {at:g} s" for number, (at, text) in enumerate(events, 1)]
        lines = [line for one in said for line in textwrap.wrap(one, 56, subsequent_indent="   ")]
        whole((axes, *more)[-1], "\n".join(["second", *lines]))
        axes.yaxis.set_major_formatter(counted)
        axes.set_ylabel("requests")
        legend(figure)

    lost = sum(entry[2] for entry in series)
    happened = "; ".join(f"at {at:g} s {said}" for at, said in events) or "Nothing happened"
    slowest = max((entry[4] for entry in series if len(entry) > 4), default=0)
    times = f" The highest p99 of a second is {words.amount(slowest / 1e3)} ms." if slowest else ""
    shown = f"Bars of the requests in each second, {lost} of which failed. {happened}.{times}"
    return Plot(name, f"{fault['title']}: {fault['target']}", shown, draw, 3.4 if timed else HEIGHT)


def marks(events: Sequence[Sequence[Any]], near: float) -> list[tuple[str, float]]:
    """Return the numbers of events and where they stand; those that are near to each other stand together."""
    found: list[tuple[str, float]] = []
    for number, (at, _) in enumerate(events, 1):
        if found and at - found[-1][1] < near:
            numbers, place = found.pop()
            found.append((f"{numbers}, {number}", place))
        else:
            found.append((str(number), at))
    return found
