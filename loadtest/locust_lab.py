"""A locust file without users, loaded beside one: it keeps the rate, ends the run and says what it measured.

locust rounds times before it counts them; here they are counted as they are, to the microsecond, and where
the package is installed in an HdrHistogram as well, which other programs can read. With LAB_RATE (requests a
second of all users together) each user has a schedule, and the time of a request is counted from when it was
due: a target that stands still is charged for all that was due meanwhile. The results go to LAB_RESULTS.
Counting begins when the last user has done its first task (or PATIENCE_S after all were started) and ends
LAB_SECONDS later; failures count always. With LAB_RAMP it begins at once, while the users still arrive, and
each second has its number of users and its own latencies.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from locust import events
from locust.env import Environment

HIGHEST_US = 60_000_000
DIGITS = 3
PATIENCE_S = 10.0


class Recorder:
    """Counts requests, times and failures."""

    def __init__(self) -> None:
        self.times: dict[int, int] = {}  # microseconds -> requests
        self.hdr: Any = None
        if importlib.util.find_spec("hdrh"):
            self.hdr = importlib.import_module("hdrh.histogram").HdrHistogram(1, HIGHEST_US, DIGITS)
        self.counts: dict[str, int] = {}
        self.errors: dict[str, dict[str, int]] = {}
        self.seconds: dict[int, list[int]] = {}  # second of the run -> [requests, failures]
        self.began = 0.0
        self.began_at = 0.0  # Unix time
        self.ended = 0.0
        self.ramp: dict[int, tuple[int, dict[int, int]]] = {}  # second -> users, microseconds -> requests
        self.cpu_s = 0.0  # of this process while it counted

    def begin(self) -> None:
        """Count from now on."""
        self.began = time.monotonic()
        self.began_at = time.time()
        self.cpu_s = -time.process_time()

    def end(self) -> None:
        """Count no more."""
        self.ended = time.monotonic()
        self.cpu_s += time.process_time()

    def record(
        self,
        name: str,
        response_time: float,
        exception: object,
        context: dict[str, Any],
        start_time: float | None,
        users: int = 0,
    ) -> None:
        """Take one request: its time in ms, and since when it was due if it was scheduled.

        With `users`, how many there are is noted, and how long requests take in this second.
        """
        if exception:
            said = self.errors.setdefault(name, {})
            said[str(exception)[:200]] = said.get(str(exception)[:200], 0) + 1
        if not self.began or self.ended:
            return
        late_s = 0.0
        if "due" in context and start_time is not None:
            late_s = max(0.0, start_time - context["due"])
        time_us = min(max(int(response_time * 1000 + late_s * 1e6), 1), HIGHEST_US)
        self.times[time_us] = self.times.get(time_us, 0) + 1
        if self.hdr is not None:
            self.hdr.record_value(time_us)
        self.counts[name] = self.counts.get(name, 0) + 1
        now = int(time.monotonic() - self.began)
        second = self.seconds.setdefault(now, [0, 0])
        second[0] += 1
        second[1] += bool(exception)
        if users:
            times = self.ramp.get(now, (0, {}))[1]
            times[time_us] = times.get(time_us, 0) + 1
            self.ramp[now] = users, times

    def series(self) -> list[list[int]]:
        """Return each second with its requests and failures; in a ramp also with its users, p50 and p99."""
        entries = sorted(self.seconds.items())
        if not self.ramp:
            return [[second, *counts] for second, counts in entries]
        found = []
        for second, counts in entries:
            users, times = self.ramp[second]
            found.append([second, users, *counts, part(times, 0.5), part(times, 0.99)])
        return found

    def as_json(self) -> dict[str, Any]:
        """Return all that was counted."""
        return {
            "requests": sum(self.counts.values()),
            "seconds": self.ended - self.began if self.ended else 0.0,
            "began": self.began_at,
            "cpu_s": self.cpu_s,
            "counts": self.counts,
            "errors": self.errors,
            "series": self.series(),
            "histogram": [[time_us, self.times[time_us]] for time_us in sorted(self.times)],
            "hdr": "" if self.hdr is None else self.hdr.encode().decode("ascii"),
        }


def part(times: dict[int, int], share: float) -> int:
    """Return the time that this share of all does not exceed."""
    seen, wanted = 0, share * sum(times.values())
    for time_us in sorted(times):
        seen += times[time_us]
        if seen >= wanted:
            return time_us
    return 0


@events.init.add_listener
def prepare(environment: Environment, **_: object) -> None:
    """Give the users their schedule, and wait for them."""
    recorder = Recorder()
    rate, ramp = float(os.environ.get("LAB_RATE") or 0), bool(os.environ.get("LAB_RAMP"))
    arrived: set[int] = set()

    @environment.events.request.add_listener
    def request(
        name: str,
        response_time: float,
        exception: object,
        context: Any = None,
        start_time: float | None = None,
        **_: object,
    ) -> None:
        users = environment.runner.user_count if ramp and environment.runner else 0
        recorder.record(name, response_time, exception, context or {}, start_time, users)

    def arrive(user: object) -> None:
        assert environment.runner
        arrived.add(id(user))
        if len(arrived) >= environment.runner.target_user_count:
            measure()

    def measure() -> None:
        if not recorder.began:
            recorder.begin()
            gevent.spawn_later(float(os.environ["LAB_SECONDS"]), end)

    def end() -> None:
        recorder.end()
        assert environment.runner
        environment.runner.quit()

    @environment.events.test_start.add_listener
    def do_not_wait(**_: object) -> None:
        if ramp:
            measure()

    @environment.events.spawning_complete.add_listener
    def be_patient(**_: object) -> None:
        gevent.spawn_later(PATIENCE_S, measure)

    @environment.events.quit.add_listener
    def write(**_: object) -> None:
        Path(os.environ["LAB_RESULTS"]).write_text(json.dumps(recorder.as_json()), encoding="utf-8")

    base, prefixed = environment.host, bool(os.environ.get("LAB_PREFIXED"))
    if prefixed:
        environment.host = None  # it would be everybody's
    for user_class in environment.user_classes:
        if prefixed:
            user_class.host = f"{base}/{folder_of(user_class)}"
        schedule(user_class, environment, rate, arrive)


def folder_of(user_class: type) -> str:
    """Return the name of the folder in which a class is written; all their modules have the same name."""
    own = [
        part for part in vars(user_class).values() if getattr(part, "__module__", "") == user_class.__module__
    ]
    code = next(part.__code__ for part in own if hasattr(part, "__code__"))
    return Path(code.co_filename).parent.name


def schedule(
    user_class: Any, environment: Environment, rate: float, arrive: Callable[[object], None]
) -> None:
    """Have the users of a class tell that they have arrived, and with a rate begin tasks at fixed times."""
    context, own_wait_time = user_class.context, user_class.wait_time

    def wait_time(user: Any) -> float:
        assert environment.runner
        if not hasattr(user, "due"):
            user.due = None
            arrive(user)
        if not rate:
            return float(own_wait_time(user))
        interval = max(environment.runner.target_user_count, 1) / rate
        now = time.time()
        spread = now + random.random() * interval  # noqa: S311 - so that not all begin at once
        user.due = spread if user.due is None else user.due + interval
        user.charged = False
        return max(0.0, user.due - now)

    def scheduled_context(user: Any) -> dict[str, Any]:
        # Only the first request of a task was due then; the others wait for the one before them.
        if getattr(user, "charged", True):
            return dict(context(user))
        user.charged = True
        return {**context(user), "due": user.due}

    user_class.wait_time = wait_time
    user_class.context = scheduled_context
