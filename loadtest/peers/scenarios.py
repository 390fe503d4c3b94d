"""What is measured about a server, and how: each scenario is one function that returns a Measurement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtest import machine, tools
from loadtest.machine import Cpu
from loadtest.peers.capture import captured
from loadtest.peers.catalogue import Peer
from loadtest.peers.running import HOST, ROOT, Running, exchange, running

__all__ = ["SCENARIOS", "Measurement", "Plan", "Scenario"]

WRK = Path(__file__).with_name("wrk")
SCRIPTS = {
    "minimal": tools.WRK_SCRIPT,
    "realistic": WRK / "realistic.lua",
    "pipelined": WRK / "pipelined.lua",
}
DEPTH = 16
CLIENT_LIMIT = 0.9  # of its core: a client busier than this may be what was measured
LATE_LIMIT_US = 1000.0  # of the client itself at p99: more, and it measured its own waiting
CLIENT_GRACE_S = 60.0
ECHO_CONNECTIONS = 64


@dataclass(frozen=True)
class Plan:
    """How much is done: times in seconds, and where it runs."""

    seconds: int = 3
    warm_up: int = 1
    connections: int = 64
    idle: int = 10_000
    listeners: int = 1000
    stream_bytes: int = 10**9
    server_cores: tuple[int, ...] = ()
    load_cores: tuple[int, ...] = ()
    second_core: int | None = None  # for two workers


@dataclass(frozen=True)
class Measurement:
    """What one run says. With `errors` the value means nothing; if `client_bound`, it is the client's."""

    value: float = 0.0
    cpu: Cpu | None = None
    amount: float = 0.0  # of what was done, to divide the processor time by
    client_cpu: float | None = None
    client_bound: bool = False
    disturbed: float | None = None  # the share of the server's core that other programs used
    errors: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether there were answers, and all of them right."""
        return self.value > 0 and not self.errors


@dataclass(frozen=True)
class Scenario:
    """Something to measure: its unit, whether more is better, and the unit of work that has a cost."""

    name: str
    title: str
    unit: str
    measure: Callable[[Peer, Plan, Mapping[str, float]], Measurement]
    more_is_better: bool = True
    work: str = "request"
    digits: int = 0


class Watch:
    """The processor time of a server, and of others on its core, from here to `stop`."""

    def __init__(self, server: Running, plan: Plan) -> None:
        self.server = server
        self.cores = plan.server_cores
        self.cpu = server.cpu()
        self.busy = machine.busy_s(self.cores)

    def stop(self, seconds: float) -> dict[str, Any]:
        """Return fields of a Measurement, after about so many seconds."""
        cpu = self.server.cpu() - self.cpu
        busy = machine.busy_s(self.cores)
        if busy is None or self.busy is None or not self.cores or seconds <= 0:
            return {"cpu": cpu}
        others = busy - self.busy - cpu.total_s
        return {"cpu": cpu, "disturbed": max(0.0, others / (seconds * len(self.cores)))}


def with_wrk(server: Running, plan: Plan, kind: str, seconds: int) -> Measurement:
    """Load a server with one of the kinds of requests, as fast as it answers."""
    words = (str(DEPTH),) if kind == "pipelined" else ()
    url = f"http://{HOST}:{server.port}/"
    length = len(exchange(server, captured(SCRIPTS[kind], words)))
    watch = Watch(server, plan)
    with machine.pinned(plan.load_cores):
        sample = tools.run_wrk(
            url, duration_s=seconds, connections=plan.connections, script=SCRIPTS[kind], words=words
        )
    watched = watch.stop(seconds)
    errors = dict(sample.errors)
    # What was on its way when wrk stopped is in `bytes`, but is no request.
    slack = plan.connections * length * (DEPTH if kind == "pipelined" else 1)
    if sample.requests and not 0 <= sample.bytes - sample.requests * length <= slack:
        errors["size"] = 1
    return Measurement(
        value=sample.requests_per_s,
        amount=sample.requests,
        client_cpu=sample.client_cpu,
        client_bound=sample.client_cpu > CLIENT_LIMIT,
        errors=errors,
        note=sample.note or (f"answers were not all {length} bytes long" if "size" in errors else ""),
        detail={"p50_ms": sample.p50_ms, "p99_ms": sample.p99_ms} if kind != "pipelined" else {},
        **watched,
    )


def throughput(kind: str) -> Callable[[Peer, Plan, Mapping[str, float]], Measurement]:
    """Return the scenario of one kind of requests."""

    def measure(peer: Peer, plan: Plan, _known: Mapping[str, float]) -> Measurement:
        with running(peer, plan.server_cores) as server:
            with_wrk(server, plan, kind, plan.warm_up)
            return with_wrk(server, plan, kind, plan.seconds)

    return measure


def latency(peer: Peer, plan: Plan, known: Mapping[str, float]) -> Measurement:
    """Measure p99 at half of the server's own peak, from the time at which each request was due."""
    with running(peer, plan.server_cores) as server:
        peak = known.get("minimal") or with_wrk(server, plan, "minimal", plan.seconds).value
        with_wrk(server, plan, "minimal", plan.warm_up)
        if not peak:
            return Measurement(errors={"peak": 1}, note="the server has no peak to take half of")
        watch = Watch(server, plan)
        words = [str(server.port), f"{peak / 2:.0f}", str(plan.seconds), str(plan.connections)]
        result, _ = client("rate", words, plan)
        watched = watch.stop(plan.seconds)
    if "latency_us" not in result or not result["latency_us"]:
        return failed(result)
    late = result["late_us"]["p99"]
    return Measurement(
        value=result["latency_us"]["p99"] / 1000,
        amount=result["requests"],
        client_bound=late > LATE_LIMIT_US,
        errors=result["errors"],
        detail={"rate": peak / 2, "latency_us": result["latency_us"], "late_us": result["late_us"]},
        **watched,
    )


def idle(peer: Peer, plan: Plan, _known: Mapping[str, float]) -> Measurement:
    """Measure the memory for each of many connections that had an answer and wait."""
    count = min(plan.idle, machine.raise_file_limit(plan.idle + 256) - 256)
    with running(peer, plan.server_cores) as server:
        with_wrk(server, plan, "minimal", plan.warm_up)
        before, counted = machine.memory_of(server.pids())
        with machine.pinned(plan.load_cores):
            process = subprocess.Popen(
                client_command("idle", [str(server.port), str(count)]),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                cwd=ROOT, env=client_environment(),
            )  # fmt: skip
        with process:
            assert process.stdout is not None
            opened = process.stdout.readline().strip() == "open"
            after, _ = machine.memory_of(server.pids())
            output, said = process.communicate("\n", timeout=CLIENT_GRACE_S)
    if not opened or process.returncode:
        return failed({"note": last_line(said)})
    result = json.loads(output)
    return Measurement(
        value=max(after - before, 1) / count / 1024,
        amount=count,
        errors=result["errors"],
        detail={"connections": count, "counted": counted, "before_bytes": before, "after_bytes": after},
    )


def stream(direction: str) -> Callable[[Peer, Plan, Mapping[str, float]], Measurement]:
    """Return the scenario of one large body in this direction."""

    def measure(peer: Peer, plan: Plan, _known: Mapping[str, float]) -> Measurement:
        with running(peer, plan.server_cores) as server:
            client("stream", [str(server.port), direction, str(plan.stream_bytes // 20)], plan)
            before = machine.resident_of(server.pids())
            machine.forget_peaks(server.pids())
            watch = Watch(server, plan)
            words = [str(server.port), direction, str(plan.stream_bytes)]
            result, used_s = client("stream", words, plan)
            if "seconds" not in result:
                return failed(result)
            watched = watch.stop(result["seconds"])
            growth = machine.peak_of(server.pids()) - before
        return Measurement(
            value=result["bytes"] / result["seconds"] / 1e6,
            amount=result["bytes"] / 1e6,
            client_cpu=used_s / result["seconds"],
            client_bound=used_s / result["seconds"] > CLIENT_LIMIT,
            errors=result["errors"],
            detail={"bytes": result["bytes"], "before_bytes": before, "growth_bytes": growth},
            **watched,
        )

    return measure


def messages(name: str, connections: Callable[[Plan], int]) -> Callable[..., Measurement]:
    """Return the scenario of a client that counts messages."""

    def measure(peer: Peer, plan: Plan, _known: Mapping[str, float]) -> Measurement:
        machine.raise_file_limit(connections(plan) + 256)
        with running(peer, plan.server_cores) as server:
            watch = Watch(server, plan)
            words = [str(server.port), str(plan.seconds), str(connections(plan))]
            result, used_s = client(name, words, plan)
            if "seconds" not in result:
                return failed(result)
            watched = watch.stop(result["seconds"])
        share = used_s * result["messages"] / max(result["all"], 1) / result["seconds"]
        return Measurement(
            value=result["messages"] / result["seconds"],
            amount=result["all"],
            client_cpu=share,
            client_bound=share > CLIENT_LIMIT,
            errors=result["errors"],
            detail={"connections": connections(plan)},
            **watched,
        )

    return measure


def workers(peer: Peer, plan: Plan, known: Mapping[str, float]) -> Measurement:
    """Compare the rate of two workers on two cores with that of one on one."""
    assert plan.second_core is not None
    one = throughput("minimal")(peer, plan, known)
    if not one.valid:
        return one
    cores = (*plan.server_cores, plan.second_core)
    with running(peer, cores, workers=2) as server:
        with_wrk(server, plan, "minimal", plan.warm_up)
        two = with_wrk(server, plan, "minimal", plan.seconds)
    return Measurement(
        value=two.value / one.value,
        client_cpu=two.client_cpu,
        client_bound=one.client_bound or two.client_bound,
        errors=two.errors,
        note=two.note,
        detail={"one": one.value, "two": two.value},
    )


def client(name: str, words: Sequence[str], plan: Plan) -> tuple[dict[str, Any], float]:
    """Run one of the clients; return what it printed, or a `note` why it failed, and its processor time."""
    before = tools.children_cpu_s()
    try:
        with machine.pinned(plan.load_cores):
            result = subprocess.run(
                client_command(name, words),
                capture_output=True,
                text=True,
                cwd=ROOT,
                env=client_environment(),
                timeout=plan.seconds + CLIENT_GRACE_S,
                check=False,
            )
    except subprocess.TimeoutExpired:
        return {"note": f"the client was still running {CLIENT_GRACE_S:g} s after its end"}, 0.0
    if result.returncode:
        return {"note": last_line(result.stderr)}, 0.0
    printed = json.loads(result.stdout)
    # A short run is measured better without the start of Python.
    return printed, printed.get("cpu_s", tools.children_cpu_s() - before)


def client_command(name: str, words: Sequence[str]) -> list[str]:
    """Return the words that start a client."""
    return [sys.executable, "-m", f"loadtest.peers.clients.{name}", *words]


def client_environment() -> dict[str, str]:
    """Return the environment of a client."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def failed(result: Mapping[str, Any]) -> Measurement:
    """Return the Measurement of a client that has none."""
    return Measurement(errors={"client": 1}, note=str(result.get("note", "the client measured nothing")))


def last_line(text: str) -> str:
    """Return the last line of what a program said, which in Python is the reason."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]


SCENARIOS = (
    Scenario("minimal", "Minimal GET", "requests/s", throughput("minimal")),
    Scenario("realistic", "GET with twelve headers, varied", "requests/s", throughput("realistic")),
    Scenario("pipelined", f"Minimal GET, {DEPTH} at once", "requests/s", throughput("pipelined")),
    Scenario("latency", "p99 at half of its own peak", "ms", latency, more_is_better=False, digits=2),
    Scenario("idle", "Memory of an idle connection", "KiB", idle, more_is_better=False, work="", digits=1),
    Scenario("download", "One body streamed to the client", "MB/s", stream("download"), work="MB"),
    Scenario("upload", "One body streamed to the server", "MB/s", stream("upload"), work="MB"),
    Scenario("sse", "Events to many listeners", "messages/s", messages("sse", lambda plan: plan.listeners),
             work="message"),
    Scenario("websocket", "WebSocket echo", "messages/s", messages("websocket", lambda _: ECHO_CONNECTIONS),
             work="message"),
    Scenario("workers", "Two workers on two cores", "times one", workers, work="", digits=2),
)  # fmt: skip
