"""A locust file without users, loaded beside one: it keeps the rate, ends the run and says what it measured.

locust rounds times before it counts them; here they are counted as they are, to the microsecond, and where
the package is installed in an HdrHistogram as well, which other programs can read. With LAB_RATE (tasks a
second of all users together) each user has a schedule, and the time of a task's first request is counted from
when it was due: a target that stands still is charged for all that was due meanwhile. The results go to
LAB_RESULTS. Counting begins when the last user has done its first task (or PATIENCE_S after all were started)
and ends LAB_SECONDS later; what was due until then counts whenever its answer comes, or else as an error.
Failures count always. With LAB_RAMP counting begins at once, while the users still arrive, and each second
has its number of users. LAB_COUNTED names the kinds of requests that count (nothing: all); the others are
parts of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from locust import events
from locust.env import Environment

HIGHEST_US = 60_000_000
DIGITS = 3
PATIENCE_S = 10.0


@dataclass
class Task:
    """What a user is to do next: when it is due (Unix time), whether it was begun, and answered."""

    due: float
    begun: bool = False
    answered: bool = False


@dataclass
class Second:
    """What was answered in a second: requests, how many of them failed, and how many users there were."""

    requests: int = 0
    failures: int = 0
    users: int = 0
    times: dict[int, int] = field(default_factory=dict)  # microseconds -> requests


class Recorder:
    """Counts requests, times and failures; of the kinds `counted`, or of all."""

    def __init__(self, counted: frozenset[str] = frozenset()) -> None:
        self.counted = counted
        self.times: dict[int, int] = {}  # microseconds -> requests
        self.hdr: Any = None
        if importlib.util.find_spec("hdrh"):
            self.hdr = importlib.import_module("hdrh.histogram").HdrHistogram(1, HIGHEST_US, DIGITS)
        self.requests = 0
        self.done = 0  # tasks that were due while it counted, and answered
        self.counts: dict[str, int] = {}
        self.errors: dict[str, dict[str, int]] = {}
        self.seconds: dict[int, Second] = {}
        self.tasks: dict[int, Task] = {}  # of each user, the one at hand
        self.began = 0.0
        self.began_at = 0.0  # Unix time
        self.ended = 0.0
        self.ended_at = 0.0
        self.cpu_s = 0.0  # of this process while it counted

    def begin(self) -> None:
        """Count from now on."""
        self.began, self.began_at = time.monotonic(), time.time()
        self.cpu_s = -time.process_time()

    def end(self) -> None:
        """Count no more but what is due already."""
        self.ended, self.ended_at = time.monotonic(), time.time()
        self.cpu_s += time.process_time()

    def counts_now(self, task: Task | None) -> bool:
        """Tell whether a request counts now; the first one of a task by when that was due."""
        if not self.began or (task is not None and task.due < self.began_at):
            return False
        return not self.ended or (task is not None and not task.answered and task.due < self.ended_at)

    def fail(self, name: str, reason: object, times: int = 1) -> None:
        """Count a failure."""
        said = self.errors.setdefault(name, {})
        said[str(reason)[:200]] = said.get(str(reason)[:200], 0) + times

    def record(
        self,
        name: str,
        response_time: float,
        exception: object,
        task: Task | None,
        start_time: float | None,
        users: int = 0,
    ) -> None:
        """Take one request: its time in ms, which counts from when its task was due if it is the first one.

        `users` is how many there are.
        """
        if exception:
            self.fail(name, exception)
        if counts := self.counts_now(task):
            self.counts[name] = self.counts.get(name, 0) + 1
        is_part = bool(self.counted) and name not in self.counted
        first = False
        if task is not None and (exception or not is_part):
            first, task.answered = not task.answered, True
        if is_part or not counts:
            return
        late_s = 0.0
        if first and task is not None and start_time is not None:
            late_s = max(0.0, start_time - task.due)
        time_us = min(max(int(response_time * 1000 + late_s * 1e6), 1), HIGHEST_US)
        self.requests += 1
        self.done += first
        self.times[time_us] = self.times.get(time_us, 0) + 1
        if self.hdr is not None:
            self.hdr.record_value(time_us)
        second = self.seconds.setdefault(int(time.monotonic() - self.began), Second())
        second.requests += 1
        second.failures += bool(exception)
        second.users = users
        second.times[time_us] = second.times.get(time_us, 0) + 1

    def conclude(self) -> None:
        """Count as failures the tasks that were begun in time and have no answer."""
        lost = [task for task in self.tasks.values() if task.begun and not task.answered]
        if number := sum(self.counts_now(task) for task in lost):
            self.fail("unanswered", "no answer within seconds after the end", number)

    def series(self, *, ramp: bool) -> list[list[int]]:
        """Return each second, also an empty one: its (users, in a ramp,) requests, failures, p50 and p99."""
        found = []
        users = 0
        for number in range(max(int(self.ended - self.began), *self.seconds, -1) + 1):
            one = self.seconds.get(number, Second(users=users))
            users = one.users
            times = part(one.times, 0.5), part(one.times, 0.99)
            found.append([number, *([users] if ramp else []), one.requests, one.failures, *times])
        return found

    def as_json(self, *, ramp: bool) -> dict[str, Any]:
        """Return all that was counted."""
        return {
            "requests": self.requests,
            "tasks": self.done,
            "seconds": self.ended - self.began if self.ended else 0.0,
            "began": self.began_at,
            "cpu_s": self.cpu_s,
            "counts": self.counts,
            "errors": self.errors,
            "series": self.series(ramp=ramp),
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
    recorder = Recorder(frozenset(filter(None, os.environ.get("LAB_COUNTED", "").split(","))))
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
        users = environment.runner.user_count if environment.runner else 0
        task = (context or {}).get("task")
        recorder.record(name, response_time, exception, task, start_time, users)

    @environment.events.user_error.add_listener
    def raised(exception: object, **_: object) -> None:
        recorder.fail("exception", f"{type(exception).__name__}: {exception}")

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
        recorder.conclude()
        results = json.dumps(recorder.as_json(ramp=ramp))
        Path(os.environ["LAB_RESULTS"]).write_text(results, encoding="utf-8")

    base, prefixed = environment.host, bool(os.environ.get("LAB_PREFIXED"))
    if prefixed:
        environment.host = None  # it would be everybody's
    for user_class in environment.user_classes:
        if prefixed:
            user_class.host = f"{base}/{folder_of(user_class)}"
        schedule(user_class, environment, rate, arrive, recorder)


def folder_of(user_class: type) -> str:
    """Return the name of the folder in which a class is written; all their modules have the same name."""
    own = [
        part for part in vars(user_class).values() if getattr(part, "__module__", "") == user_class.__module__
    ]
    code = next(part.__code__ for part in own if hasattr(part, "__code__"))
    return Path(code.co_filename).parent.name


def schedule(
    user_class: Any,
    environment: Environment,
    rate: float,
    arrive: Callable[[object], None],
    recorder: Recorder,
) -> None:
    """Have the users of a class tell that they have arrived, and with a rate begin tasks at fixed times."""
    tasks = recorder.tasks
    context, own_wait_time = user_class.context, user_class.wait_time
    arrived: set[int] = set()

    def wait_time(user: Any) -> float:
        assert environment.runner
        if id(user) not in arrived:
            arrived.add(id(user))
            arrive(user)
        if not rate:
            return float(own_wait_time(user))
        interval = max(environment.runner.target_user_count, 1) / rate
        now = time.time()
        before = tasks.get(id(user))
        # Not all begin at once.
        due = now + random.random() * interval if before is None else before.due + interval  # noqa: S311
        tasks[id(user)] = Task(due)
        return max(0.0, due - now)

    def scheduled_context(user: Any) -> dict[str, Any]:
        task = tasks.get(id(user))
        if task is None or (recorder.ended and not task.begun):  # what is cleared away in the end is no task
            return dict(context(user))
        task.begun = True
        return {**context(user), "task": task}

    user_class.wait_time = wait_time
    user_class.context = scheduled_context
