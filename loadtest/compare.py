"""`./kit compare BEFORE.json AFTER.json`: has anything become worse? For continuous integration.

A result is worse when the 95 % interval of the change leaves no room for "the same" and the change is larger
than the tolerance. With one round there is no interval, so nothing is claimed. A fault that was stood before
and is not any more is worse, too.

With --agree both are runs of the same thing, and the question is whether the lab can be trusted: the 95 %
intervals of each result have to overlap.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loadtest import results, stats
from loadtest.results import ResultError
from loadtest.stats import Interval

__all__ = ["Change", "changes", "main"]

HEADS = ("scenario", "target", "measure", "before", "after", "after / before", "verdict")
TOLERANCE = 0.03
# What makes runs hard to compare if it differs, or may be why something did.
MATTERS = ("machine", "settings", "dataset", "provenance")


@dataclass(frozen=True)
class Change:
    """What became of one result; `verdict` is better, worse, same, unknown or gone, or agrees or differs.

    A fault is a result, too: its scenario is its name, and it has no figures.
    """

    scenario: str
    target: str
    measure: str
    before: float | None
    after: float | None
    ratio: Interval | None
    verdict: str
    why: str = ""


def main(argv: Sequence[str]) -> int:
    """Compare two reports; returns 0 (nothing is worse), 1 (something is, or nothing can be said) or 2."""
    parser = argparse.ArgumentParser(
        prog="./kit compare",
        description="Compare two reports of ./kit bench. Exit code: 0, nothing became worse; 1, something "
        "did, or nothing can be said; 2, wrong arguments.",
    )
    parser.add_argument("before", type=Path, metavar="BEFORE.json")
    parser.add_argument("after", type=Path, metavar="AFTER.json")
    parser.add_argument(
        "--tolerance", type=percent, default=TOLERANCE * 100, metavar="PERCENT",
        help=f"a change up to this is none (default {TOLERANCE:.0%}%)",
    )  # fmt: skip
    parser.add_argument(
        "--agree",
        action="store_true",
        help="both are runs of the same: fail where intervals do not overlap",
    )
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    try:
        before, after = results.read(options.before), results.read(options.after)
    except ResultError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    found = changes(before, after, options.tolerance / 100)
    stood = [] if options.agree else faults(before, after)
    if options.agree:
        found = [agreed(one, before, after) for one in found]
    known = any(one.verdict != "unknown" for one in found) or any(one.verdict == "worse" for one in stood)
    found += stood
    print(table(found))
    reasons = [f"{one.scenario} {one.target}: {one.why}" for one in found if one.why]
    print("".join(f"{remark}\n" for remark in [*different(before, after), *reasons]), end="")
    if not known:
        print(
            "compare: nothing can be said: no result is valid in both with two rounds or more",
            file=sys.stderr,
        )
        return 1
    if options.agree:
        return agreement(found)
    worse = [one for one in found if one.verdict in ("worse", "gone")]
    print(f"\n{len(worse)} of {len(found)} became worse" if worse else "\nNothing became worse")
    return 1 if worse else 0


def changes(
    before: Mapping[str, Any], after: Mapping[str, Any], tolerance: float = TOLERANCE
) -> list[Change]:
    """Return what became of each result of `before` that `after` has too."""
    later = {(one["scenario"], one["target"]): one for one in after["results"]}
    return [
        changed(before, after, one, later[one["scenario"], one["target"]], tolerance)
        for one in before["results"]
        if (one["scenario"], one["target"]) in later
    ]


def percent(text: str) -> float:
    """Return a number from 0 to 1000 (an argparse type). Raises ValueError."""
    if not 0 <= (value := float(text)) <= 1000:
        raise ValueError
    return value


def faults(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return what became of the faults that both had."""
    later = {(one["fault"], one["target"]): one for one in after["faults"]}
    found = []
    for one in before["faults"]:
        if (other := later.get((one["fault"], one["target"]))) is None:
            continue
        verdict = "same" if one["passed"] == other["passed"] else "worse" if one["passed"] else "better"
        failed = ", ".join(f"{method} {count}" for method, count in other["failed"].items()) or "none"
        why = "; ".join([f"not stood any more; failed requests: {failed}", *other["problems"]])
        found.append(
            Change(
                f"fault {one['fault']}", one["target"], "passed", None, None, None, verdict,
                why if verdict == "worse" else "",
            )
        )  # fmt: skip
    return found


def changed(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    tolerance: float,
) -> Change:
    """Return what became of one result."""
    name = (str(one["scenario"]), str(one["target"]), str(one["measure"]))
    values = [result["value"]["value"] if result["valid"] else None for result in (one, other)]
    if one["valid"] and not other["valid"]:
        problems = "; ".join(other["problems"])
        why = f"not valid any more: {problems}" if other["rounds"] else "not run any more"
        return Change(*name, values[0], None, None, "gone", why)
    if not one["valid"] or not other["valid"]:
        return Change(*name, values[0], values[1], None, "unknown", "was not valid before")
    if one["measure"] != other["measure"]:
        return Change(*name, values[0], values[1], None, "unknown", "is measured by something else now")
    ratio = stats.change(rounds(before, one), rounds(after, other))
    verdict = judged(ratio, tolerance, less_is_better=one["measure"] == "p99_ms")
    return Change(*name, values[0], values[1], ratio, verdict)


def agreed(change: Change, before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    """Return what a change says about two runs of the same: their intervals overlap, or they do not."""
    name = (change.scenario, change.target)
    one, other = (
        next(result for result in document["results"] if (result["scenario"], result["target"]) == name)
        for document in (before, after)
    )
    if one["valid"] != other["valid"]:
        which, problems = ("second", other["problems"]) if one["valid"] else ("first", one["problems"])
        return replace(change, verdict="differs", why=f"not valid in the {which} run: {'; '.join(problems)}")
    if change.ratio is None or change.ratio.low is None:
        return replace(change, verdict="unknown", why=change.why and "not valid in either run")
    overlap = Interval(**one["value"]).overlaps(Interval(**other["value"]))
    return replace(change, verdict="agrees" if overlap else "differs")


def agreement(found: Sequence[Change]) -> int:
    """Say how many results of two runs agree; returns 0 if all do of which anything is known."""
    known = [one for one in found if one.verdict != "unknown"]
    agreeing = [one for one in known if one.verdict == "agrees"]
    print(f"\n{len(agreeing)} of {len(known)} results agree: their 95 % intervals overlap")
    return 0 if len(agreeing) == len(known) else 1


def judged(ratio: Interval, tolerance: float, *, less_is_better: bool) -> str:
    """Return what a ratio says."""
    if ratio.low is None or ratio.high is None:
        return "unknown"
    if ratio.low <= 1 <= ratio.high or abs(ratio.value - 1) <= tolerance:
        return "same"
    return "worse" if (ratio.value > 1) == less_is_better else "better"


def rounds(document: Mapping[str, Any], result: Mapping[str, Any]) -> list[float]:
    """Return the value of each round of a result."""
    return [
        results.value_of(run, result["measure"])
        for run in document["runs"]
        if (run["scenario"], run["target"]) == (result["scenario"], result["target"])
    ]


def different(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return remarks on what differs between two runs besides what is compared."""
    found = [f"The run {when} was interrupted" for when, made in (("before", before), ("after", after))
             if not made["complete"]]  # fmt: skip
    for part in MATTERS:
        one, other = (flat(made.get(part) or {}) for made in (before, after))
        keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
        if keys:
            what = ", ".join(f"{key} {shown(one.get(key))} / {shown(other.get(key))}" for key in keys)
            found.append(f"Not the same {part}: {what}")
    for name in before["scenarios"].keys() & after["scenarios"].keys():
        if before["scenarios"][name] != after["scenarios"][name]:
            found.append(f"Not the same scenario: {name}")
    names = [{f"{one['scenario']} {one['target']}" for one in made["results"]} for made in (before, after)]
    for when, missing in (("before", names[1] - names[0]), ("after", names[0] - names[1])):
        if missing:
            found.append(f"Not measured {when}: {', '.join(sorted(missing))}")
    return found


def flat(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a part, with those of the parts in it."""
    found: dict[str, Any] = {}
    for key, value in part.items():
        found |= (
            {f"{key} of {name}": one for name, one in value.items()}
            if isinstance(value, Mapping)
            else {key: value}
        )
    return found


def shown(value: object) -> str:
    """Return a fact in a few words: of a digest, what tells it from others."""
    text = "-" if value in (None, "") else str(value)
    return text[:12] if len(text) == 64 else text


def table(found: Sequence[Change]) -> str:
    """Return the changes as text."""
    lines: list[Sequence[str]] = [HEADS]
    for one in found:
        ratio = "-"
        if one.ratio is not None:
            ratio = f"{one.ratio.value:.3f}"
            if one.ratio.low is not None and one.ratio.high is not None:
                ratio += f" ({one.ratio.low:.3f}-{one.ratio.high:.3f})"
        before, after = ("-" if value is None else f"{value:,.1f}" for value in (one.before, one.after))
        lines.append((one.scenario, one.target, one.measure, before, after, ratio, one.verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
