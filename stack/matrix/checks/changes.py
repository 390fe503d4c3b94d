"""Changes and failures: replicas come, go, freeze and die, the proxy reloads, and requests go on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import h11

from stack.matrix.check import Differs, check
from stack.matrix.checks.websockets import echoed, opened
from stack.matrix.target import Target, arrived, ask

GROUP = "Changes and failures"
FAILURES = (OSError, AssertionError, h11.RemoteProtocolError, h11.LocalProtocolError, TimeoutError)
CLIENTS = 3
MAX_CUT = 2  # connections made in the very moment in which a proxy changes its listener, as Caddy does
FROZEN_S = 14.0  # longer than the proxies wait here
APPLIES_NOT = "does not apply"
ALONE = {"direct": Differs(APPLIES_NOT, "without a proxy, a client knows one server")}
NO_ANSWER = {"direct": Differs("no answer", "without a proxy, there is nobody to answer")}
PROCESSES = "it acts on the processes; tests/compose has its own tests of replicas that come, go and die"


@dataclass
class Load:
    """What became of requests that were sent all the time."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    cut: int = 0
    """Connections that ended before anything was said on them: the request was sent again on another one."""
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def more(self, count: int, replica: str = "") -> None:
        """Wait until so many more requests were answered, by a replica or by any."""
        goal = self.count(replica) + count
        async with asyncio.timeout(30), self.progress:
            await self.progress.wait_for(lambda: self.count(replica) >= goal)

    def count(self, replica: str) -> int:
        """Return how many were answered."""
        return self.answered[replica] if replica else self.answered.total()

    def verdict(self) -> str:
        """Tell what failed."""
        if not self.failed and self.cut <= MAX_CUT:
            return "no failure"
        if not self.failed:
            return f"{self.cut} connections cut"
        return "; ".join(f"{times} x {what}" for what, times in Counter(self.failed).most_common(3))


@contextlib.asynccontextmanager
async def load(target: Target) -> AsyncIterator[Load]:
    """Send requests all the time: some clients on kept connections, some on new ones."""
    seen = Load()
    ending = asyncio.Event()

    async def one(requests: int) -> None:
        while not ending.is_set():
            try:
                async with target.connected() as connection, asyncio.timeout(20):
                    for number in range(requests):
                        await connection.head("/seen", host=target.host)
                        await connection.end()
                        try:
                            answer = await connection.answer()
                        except (OSError, AssertionError, h11.RemoteProtocolError):
                            # A connection that was idle may end at any time: clients ask again, as they may
                            # for safe methods (RFC 9112, 9.3.1). A new one should not.
                            if not connection.quiet:
                                raise
                            seen.cut += not number
                            break
                        if answer.status != 200:
                            seen.failed.append(str(answer.status))
                            break
                        seen.answered[arrived(answer)["replica"]] += 1
                        async with seen.progress:
                            seen.progress.notify_all()
                        if (answer.one("connection") or "").lower() == "close" or ending.is_set():
                            break
                        await asyncio.sleep(0.01)
            except FAILURES as error:
                seen.failed.append(f"{type(error).__name__}: {error}"[:80])
                await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(one(1 if number % 2 else 50)) for number in range(CLIENTS)]
    try:
        yield seen
    finally:
        ending.set()
        await asyncio.gather(*tasks)


def note(target: Target) -> str:
    """Return a name that nobody used before."""
    return f"{target.name}-{target.replicas}-{time.monotonic_ns()}"


async def status(target: Target, path: str, method: str = "GET") -> str:
    """Return the status of an answer, or that there was none."""
    try:
        answer = await target.fetch(path, method=method, body=b"{}" if method == "POST" else None)
    except FAILURES:
        return "no answer"
    return str(answer.status)


async def recovered(target: Target) -> None:
    """Wait until every replica is used and every request succeeds again."""
    async with asyncio.timeout(30):
        while True:
            replicas, failures = set(), 0
            for _ in range(8 * target.replicas):
                try:
                    replicas.add((await target.seen())["replica"])
                except FAILURES:
                    failures += 1
            if not failures and (len(replicas) == target.replicas or target.name == "direct"):
                return
            await asyncio.sleep(0.1)


@check(GROUP, "requests are spread over the replicas", "all are used", replicas=(2,), differs=ALONE)
async def spread(target: Target) -> str:
    """See who answers."""
    if target.name == "direct":
        return APPLIES_NOT
    replicas: set[str] = set()
    deadline = time.monotonic() + 10  # the other checks keep one busier than the other
    while len(replicas) < target.replicas and time.monotonic() < deadline:
        replicas |= {facts["replica"] for facts in await asyncio.gather(*(target.seen() for _ in range(8)))}
    return "all are used" if len(replicas) == target.replicas else f"{len(replicas)} of {target.replicas}"


@check(
    GROUP,
    "the worker dies over a GET: it is sent again, and answered",
    "200",
    replicas=(2,),
    disrupts=True,
    local=PROCESSES,
    differs={
        **NO_ANSWER,
        "apache": Differs("502", "Apache repeats a request only if the connection could not be made"),
    },
)
async def crash_get(target: Target) -> str:
    """Crash a worker with a safe request."""
    result = await status(target, f"/crash?note={note(target)}")
    await recovered(target)
    return result


@check(
    GROUP,
    "the worker dies over a POST: it is not sent again",
    "502, sent once",
    disrupts=True,
    local=PROCESSES,
    differs={"direct": Differs("no answer, sent once", NO_ANSWER["direct"].reason)},
)
async def crash_post(target: Target) -> str:
    """Crash a worker with a request that may have done something."""
    key = note(target)
    result = await status(target, f"/crash?note={key}", "POST")
    await recovered(target)
    times = arrived(await target.fetch(f"/notes/crashed-{key}"))["count"]
    return f"{result}, sent {'once' if times == 1 else f'{times} times'}"


@check(
    GROUP,
    "one of two replicas is dead: GET and POST go to the other one",
    "200 200",
    replicas=(2,),
    disrupts=True,
    local=PROCESSES,
    differs={"direct": Differs("no answer no answer", NO_ANSWER["direct"].reason)},
)
async def dead_replica(target: Target) -> str:
    """Kill a replica, and ask at once."""
    control = target.control_of()
    await target.seen()
    await control.kill(0)
    try:
        found = [await status(target, "/seen", method) for method in ("GET", "POST") for _ in range(8)]
    finally:
        await control.start(0)
        await recovered(target)
    return f"{most(found[:8])} {most(found[8:])}"


def most(found: list[str]) -> str:
    """Return what all found, or all that was found."""
    return found[0] if len(set(found)) == 1 else "/".join(sorted(set(found)))


@check(
    GROUP,
    "no replica is left: an error page that says when to try again",
    "502/503, Retry-After: 5, html and json",
    disrupts=True,
    local=PROCESSES,
    differs=NO_ANSWER,
)
async def all_dead(target: Target) -> str:
    """Kill every replica."""
    control = target.control_of()
    for number in range(target.replicas):
        await control.kill(number)
    try:
        page = await target.fetch("/seen", [("Accept", "text/html")])
        problem = await target.fetch("/seen", [("Accept", "*/*")])
    except FAILURES:
        return "no answer"
    finally:
        for number in range(target.replicas):
            await control.start(number)
        await recovered(target)
    assert page.status in (502, 503), page.status
    assert page.one("retry-after") == problem.one("retry-after") == "5"
    assert b"<h1>Application unavailable</h1>" in page.body
    assert b'"title":"Application unavailable"' in problem.body
    return "502/503, Retry-After: 5, html and json"


@check(
    GROUP,
    "every replica is frozen: the proxy gives up in its own time",
    "504, Retry-After: 5",
    disrupts=True,
    local=PROCESSES,
    differs={
        **NO_ANSWER,
        "apache": Differs("502, Retry-After: 5", "Apache says 502 of an answer that does not come in time"),
    },
)
async def frozen(target: Target) -> str:
    """Stop every replica in the middle of everything."""
    control = target.control_of()
    await target.seen()
    for number in range(target.replicas):
        control.pause(number)
    try:
        async with asyncio.timeout(FROZEN_S), target.connected() as connection:
            await connection.head("/seen", method="POST", host=target.host)
            await connection.end()
            answer = await connection.answer()
    except FAILURES:
        return "no answer"
    finally:
        for number in range(target.replicas):
            control.resume(number)
        await recovered(target)
    return f"{answer.status}, Retry-After: {answer.one('retry-after')}"


@check(GROUP, "the application reloads under load", "no failure", disrupts=True, local=PROCESSES)
async def application_reload(target: Target) -> str:
    """Load new code while requests go on."""
    async with load(target) as requests:
        await requests.more(20)
        await target.control_of().reload_application()
        await requests.more(50)
    return requests.verdict()


@check(
    GROUP,
    "connections in the proxy's pool that the application has closed: GET, then POST",
    "200 200",
    disrupts=True,
    local=PROCESSES,
)
async def stale_connection(target: Target) -> str:
    """Have the pool filled, every connection in it closed, and ask again on a connection that was kept."""
    async with target.connected() as connection:
        for _ in range(4):
            await ask(connection, "/seen", (), method="GET", body=None, host=target.host)
        if target.name != "direct":
            await target.control_of().reload_application()
        found = [
            (await ask(connection, "/seen", (), method=method, body=body, host=target.host)).status
            for method, body in (("GET", None), ("POST", b"abc"))
        ]
    return " ".join(map(str, found))


@check(
    GROUP,
    "a client that is idle for longer than the application keeps connections: GET, then POST",
    "200 200",
    disrupts=True,
    local=PROCESSES,
    differs={
        "direct": Differs("closed", "the server closes what was idle for too long; clients connect again")
    },
)
async def longer_keep_alive(target: Target) -> str:
    """Have the application close idle connections early: the proxy's promise to the client is another one."""
    control = target.control_of()
    try:
        for number in range(target.replicas):
            await control.kill(number)
            await control.start(number, keep_alive_s=1)
        await recovered(target)
        async with target.connected() as connection:
            await ask(connection, "/seen", (), method="GET", body=None, host=target.host)
            await asyncio.sleep(2.5)
            try:
                found = [
                    (await ask(connection, "/seen", (), method=method, body=body, host=target.host)).status
                    for method, body in (("GET", None), ("POST", b"abc"))
                ]
            except FAILURES:
                return "closed"
    finally:
        for number in range(target.replicas):
            await control.kill(number)
            await control.start(number)
        await recovered(target)
    return " ".join(map(str, found))


@check(
    GROUP,
    "one of two replicas is stopped under load, and drains",
    "no failure",
    replicas=(2,),
    disrupts=True,
    local=PROCESSES,
    differs=ALONE,
)
async def draining(target: Target) -> str:
    """Stop a replica in the way it should be, with a slow request under way."""
    if target.name == "direct":
        return APPLIES_NOT
    control = target.control_of()
    try:
        async with load(target) as requests:
            await requests.more(20)
            slow = asyncio.create_task(status(target, "/slow?seconds=1"))
            await requests.more(5)
            await control.drain(0)
            await requests.more(50)
            under_way = await slow
    finally:
        await control.start(0)
        await recovered(target)
    assert under_way == "200", under_way
    return requests.verdict()


@check(GROUP, "the proxy reloads under load", "no failure", disrupts=True, local=PROCESSES)
async def proxy_reload(target: Target) -> str:
    """Have it read its files again while requests go on."""
    async with load(target) as requests:
        await requests.more(20)
        await target.control_of().reload_proxy()
        await requests.more(50)
    return requests.verdict()


@check(
    GROUP,
    "the proxy reloads: a WebSocket stays open, and a request under way is answered",
    "still open, 200",
    disrupts=True,
    local=PROCESSES,
)
async def proxy_reload_long(target: Target) -> str:
    """Reload with things going on that take long."""
    key = note(target)
    async with opened(target) as socket:
        slow = asyncio.create_task(status(target, f"/slow?seconds=2&note={key}"))
        while not arrived(await target.fetch(f"/notes/began-{key}"))["count"]:  # noqa: ASYNC110 - elsewhere
            await asyncio.sleep(0.02)
        await target.control_of().reload_proxy()
        under_way = await slow
        assert await echoed(socket, "still there?") == "still there?"
    return f"still open, {under_way}"


@check(
    GROUP,
    "one replica more, and one less again, under load",
    "no failure, used",
    disrupts=True,
    local=PROCESSES,
    differs=ALONE,
)
async def scaling(target: Target) -> str:
    """Scale up and down while requests go on."""
    if target.name == "direct":
        return APPLIES_NOT
    control = target.control_of()
    async with load(target) as requests:
        await requests.more(20)
        before = set(requests.answered)
        number = await control.add()
        async with asyncio.timeout(30):
            while not (new := set(requests.answered) - before):  # noqa: ASYNC110 - a condition of many
                await asyncio.sleep(0.05)
        await control.remove(number)
        await requests.more(50)
    return f"{requests.verdict()}, {'used' if new else 'not used'}"
