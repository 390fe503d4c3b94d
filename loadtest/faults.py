"""Faults as scenarios: something happens to the stack under load, and the failed requests are counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from loadtest.measuring import FAULT_S, Measuring, now, proxied
from loadtest.scenario import load_all
from loadtest.spawner import FAREWELL_S
from loadtest.targets import Target
from loadtest.tools import Sample

__all__ = ["FAULTS", "SECONDS", "Disturb", "Fault", "run_faults"]

Disturb = Callable[[str, str], str]  # (fault, proxy) -> what was done; raises an Exception if it was not
SCENARIO = "crud"
SECONDS = 12
MOST_S = 48  # of load, where a fault takes long
LEAD_S = 3.0  # of undisturbed load
START_S = 4.0  # what locust needs until the load is there
UNANSWERED = "unanswered"  # what locust_lab.py calls them
RECOVERED_S = 2  # at the end there must be no failure for so long
NOT_REPEATED = {"POST", "PUT", "PATCH", "DELETE"}  # by a proxy


@dataclass(frozen=True)
class Fault:
    """Something that happens; `rule` says in words when a target passes, and `passes` decides it."""

    name: str
    title: str
    rule: str
    passes: Callable[[Mapping[str, int], list[list[int]]], bool]


def nothing_failed(failed: Mapping[str, int], _series: list[list[int]]) -> bool:
    """Tell whether every request got its right answer."""
    return not failed


def no_read_failed(failed: Mapping[str, int], _series: list[list[int]]) -> bool:
    """Tell whether all that a proxy may send again got its right answer (RFC 9110, 9.2.2)."""
    return failed.keys() <= NOT_REPEATED


def recovered(failed: Mapping[str, int], series: list[list[int]]) -> bool:
    """Tell whether requests are answered rightly again at the end, and none is left without an answer."""
    last = series[-RECOVERED_S:]
    well = all(requests and not failures for _, requests, failures, *_ in last)
    return bool(last) and well and UNANSWERED not in failed


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("reload", "the proxy reloads", "no request fails", nothing_failed),
        Fault("roll", "the replicas reload in turn", "no request fails", nothing_failed),
        Fault("kill", "a replica is killed", "no GET fails: it is asked of the other one", no_read_failed),
        Fault("database", "PostgreSQL restarts", f"all is well in the last {RECOVERED_S} s", recovered),
    )
}


def run_faults(measuring: Measuring, names: list[str], disturb: Disturb, found: list[dict[str, Any]]) -> None:
    """Append to `found` how each proxy stands each fault. `direct` is left out: it has no other replica."""
    for name in names:
        for target in proxied(measuring.targets):
            one = run_fault(measuring, FAULTS[name], target, disturb)
            found.append(one)
            failed = ", ".join(f"{method} {count}" for method, count in one["failed"].items()) or "none"
            verdict = "passed" if one["passed"] else "FAILED"
            measuring.tell(f"fault {name}, {target.name}: {verdict}; failed requests: {failed}", FAULT_S)


def run_fault(measuring: Measuring, fault: Fault, target: Target, disturb: Disturb) -> dict[str, Any]:
    """Load a target, let the fault happen, and return what came of it.

    Where the fault is not over before the load is, nothing is shown: it happens again, under longer load.
    """
    seconds = SECONDS
    while True:
        one, in_time = under_load(measuring, fault, target, disturb, seconds)
        if in_time:
            return one
        if seconds >= MOST_S:
            one["problems"].append(f"it was not over {RECOVERED_S} s before the end of {seconds} s of load")
            return one | {"passed": False}
        seconds *= 2
        print(f"  fault {fault.name}, {target.name}: took long; again under {seconds} s of load", flush=True)


def under_load(
    measuring: Measuring, fault: Fault, target: Target, disturb: Disturb, seconds: int
) -> tuple[dict[str, Any], bool]:
    """Return what came of a fault under so many seconds of load, and whether it was over early enough."""
    samples: list[Sample] = []
    scenario = load_all()[SCENARIO]
    started = now()
    load = threading.Thread(target=lambda: samples.append(measuring.load(scenario, target, seconds)))
    load.start()
    problems = []
    events: list[tuple[float, str]] = []
    try:
        time.sleep(START_S + LEAD_S)
        events.append((time.time(), f"{fault.title}: begins"))
        try:
            done = disturb(fault.name, target.name)
            events.append((time.time(), done))
        except Exception as error:  # noqa: BLE001 - whatever hindered it is what the report has to say
            problems.append(f"it could not be done: {error}")
    except BaseException:  # interrupted: nobody waits until the load ends by itself
        if measuring.spawner is not None:
            measuring.spawner.end(FAREWELL_S)
        raise
    finally:
        load.join()
    [sample] = samples
    in_time = not sample.began or events[-1][0] <= sample.began + seconds - RECOVERED_S
    return result_of(fault, target, started, sample, events, problems, seconds), in_time


def result_of(
    fault: Fault,
    target: Target,
    started: str,
    sample: Sample,
    events: list[tuple[float, str]],
    problems: list[str],
    seconds: int,
) -> dict[str, Any]:
    """Return a fault under so many seconds of load as it stands in the document."""
    failed: dict[str, int] = {}
    for name, count in sample.errors.items():
        method = name.partition(" ")[0]
        failed[method] = failed.get(method, 0) + count
    series = [list(entry) for entry in sample.series if entry[0] < seconds]
    if not sample.requests:
        problems.append(f"there was no load: {sample.note}")
    return {
        "fault": fault.name,
        "title": fault.title,
        "rule": fault.rule,
        "target": target.name,
        "started": started,
        "requests": sample.requests,
        "failed": failed,
        "note": sample.note,
        "series": series,
        "events": [[round(at - sample.began, 1) if sample.began else 0.0, text] for at, text in events],
        "passed": not problems and fault.passes(failed, series),
        "problems": problems,
    }
