"""Replicas come, go and die while requests go on: the proxies follow, and are not restarted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from types import TracebackType
from typing import Self

import pytest

from tests.compose.compose import PROXIES, Compose, docker, request
from tests.kit import eventually

pytestmark = [pytest.mark.docker]

PAUSE_S = 0.02
MANY = 100


class Requests:
    """One request after the other through each proxy, for as long as the block."""

    def __init__(self, compose: Compose) -> None:
        self.compose = compose
        self.failures: dict[str, list[str]] = {proxy: [] for proxy in PROXIES}
        self.answered: dict[str, Counter[str]] = {proxy: Counter() for proxy in PROXIES}
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.go_on, args=(proxy,)) for proxy in PROXIES]

    def go_on(self, proxy: str) -> None:
        while not self.ending.wait(PAUSE_S):
            started = time.monotonic()
            try:
                reply = request(self.compose.url(proxy, "/whoami"))
            except OSError as error:
                self.failures[proxy].append(f"{error} after {time.monotonic() - started:.2f} s")
            else:
                if reply.status == 200:
                    self.answered[proxy][reply.data["hostname"]] += 1
                else:
                    self.failures[proxy].append(f"{reply.status} after {time.monotonic() - started:.2f} s")

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def until_all_answer(self, hostnames: set[str]) -> None:
        """Wait until every proxy has used every one of these replicas."""
        for proxy, answered in self.answered.items():
            eventually(partial(hostnames.issubset, answered), f"{proxy} uses all replicas")

    def until_more(self, count: int) -> None:
        """Wait until every proxy has answered so many more requests."""
        goals = {proxy: answered.total() + count for proxy, answered in self.answered.items()}
        for proxy, answered in self.answered.items():
            eventually(partial(reached, answered, goals[proxy]), f"{proxy} goes on")


def reached(answered: Counter[str], goal: int) -> bool:
    return answered.total() >= goal


def hostnames(compose: Compose) -> set[str]:
    return {container["Config"]["Hostname"] for container in compose.inspect("app")}


def started(compose: Compose) -> dict[str, str]:
    return {proxy: compose.inspect(proxy)[0]["State"]["StartedAt"] for proxy in PROXIES}


def test_scaled_up_and_down_again_without_a_failure(compose: Compose) -> None:
    before = started(compose)
    with Requests(compose) as requests:
        requests.until_all_answer(hostnames(compose))
        compose("up", "--wait", "--no-recreate", "--scale", "app=3")
        three = hostnames(compose)
        assert len(three) == 3
        requests.until_all_answer(three)
        compose("up", "--wait", "--no-recreate", "--scale", "app=2")
        assert len(hostnames(compose)) == 2
        requests.until_more(MANY)
    assert requests.failures == {proxy: [] for proxy in PROXIES}
    assert started(compose) == before, "no proxy was restarted"


def test_a_replica_that_is_killed_costs_no_answer(compose: Compose) -> None:
    victim = compose.containers("app")[0]
    with Requests(compose) as requests:
        requests.until_all_answer(hostnames(compose))
        docker("kill", victim)
        requests.until_more(MANY)
        compose("up", "--wait")
        requests.until_all_answer(hostnames(compose))
    # A request that the victim had begun to answer can't be saved: one for each proxy at most.
    assert all(len(failures) <= 1 for failures in requests.failures.values()), requests.failures


def test_all_replicas_may_be_replaced(compose: Compose) -> None:
    old, before = hostnames(compose), started(compose)
    compose("up", "--wait", "--force-recreate", "--no-deps", "app")
    new = hostnames(compose)
    assert not old & new
    with Requests(compose) as requests:
        requests.until_all_answer(new)
    assert started(compose) == before, "no proxy was restarted"
