"""A locust file without users: ends a run MEASURE_S seconds after the last user has started.

locust's own --run-time begins before that, so that a short run on a busy machine would hardly measure.
"""

from __future__ import annotations

import os

import gevent
from locust import events
from locust.env import Environment


@events.init.add_listener
def prepare(environment: Environment, **_: object) -> None:
    """Wait for the users."""

    @environment.events.spawning_complete.add_listener
    def measure(**_: object) -> None:
        assert environment.runner
        gevent.spawn_later(float(os.environ["MEASURE_S"]), environment.runner.quit)
