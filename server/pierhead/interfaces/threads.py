"""A pool of threads for handlers that block: bounded, started when needed, and never lost without a word.

Python cannot stop a thread. Where the request of a running call is given up, the call goes on; the log says
so, and says when it ended. The threads are daemons: one that never returns does not keep the process from
ending.

Switching threads costs more than many a call. So a thread is woken once for all calls of one turn of the
event loop, and a call is left to a thread that is awake and gets through its calls; another one is woken when
none is, when those that are have been in their calls for a while, or when a call has waited for too long.
Results come back to the event loop in batches.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["ThreadPool"]

logger = logging.getLogger("pierhead.app")

_BUSY_S = 0.0005  # an awake thread that took no call for so long is in one that blocks
_RELIEF_S = 0.001  # a call that waits for so long gets a thread of its own, if there is one


class ThreadPool:
    """At most `size` threads; further calls wait in line."""

    def __init__(self, size: int, *, name: str = "pierhead") -> None:
        if size < 1:
            raise ValueError(f"a pool has at least 1 thread, not {size}")
        self.size = size
        self._name = name
        self._threads: list[threading.Thread] = []
        self._jobs: deque[_Job] = deque()
        self._asleep: list[
            threading.Lock
        ] = []  # a lock for each sleeping thread, which wakes when it is released
        self._lock = threading.Lock()  # of falling asleep and of being counted on
        self._took_at = 0.0  # when a thread last took a call
        self._waking = False  # whether a thread will be woken, if it has to be, before the loop's next turn
        self._relief: asyncio.TimerHandle | None = None
        self._results: _Results | None = None
        self._closed = False

    async def run(self, call: Callable[[], Any], name: str) -> Any:
        """Call `call` in a thread, in a copy of the caller's context; returns and raises what it does.

        `name` is how the log calls it. A call still waiting for a thread when the caller is cancelled is
        never made. Raises RuntimeError once the pool is closed.
        """
        if self._closed:
            raise RuntimeError(f"{name} cannot be called: the application has stopped")
        loop = asyncio.get_running_loop()
        results = self._results
        if results is None or results.loop is not loop:
            results = self._results = _Results(loop)
        job = _Job(call, name, results)
        self._jobs.append(job)
        if not self._waking:
            self._waking = True
            loop.call_soon(self._see_to_calls, loop)
        try:
            return await job.future
        except asyncio.CancelledError:
            if not job.claim() and not job.delivered:
                logger.warning("%s goes on in its thread: its request was given up", name)
            raise

    async def close(self, grace_s: float = 1.0) -> None:
        """Take no more calls and wait at most `grace_s` seconds for those in progress; the rest is logged."""
        if self._relief is not None:
            self._relief.cancel()
        with self._lock:
            self._closed = True
            for sleeper in self._asleep:
                sleeper.release()
            self._asleep.clear()
        if not self._threads:
            return
        deadline = time.monotonic() + grace_s
        await asyncio.to_thread(_join, self._threads, deadline)
        left = sum(thread.is_alive() for thread in self._threads)
        if left:
            logger.error("threads still in a handler: %d; they end with the process", left)

    def _see_to_calls(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have a thread take the calls of this turn of the loop; called at its end."""
        self._waking = False
        now = time.monotonic()
        with self._lock:
            awake = len(self._threads) - len(self._asleep)
        if self._jobs and (not awake or now - self._took_at > _BUSY_S):
            self._wake(1, now)
        if self._relief is None:
            self._relief = loop.call_later(_RELIEF_S, self._relieve)

    def _wake(self, number: int, now: float) -> None:
        """Have `number` more threads take calls, as far as there are so many."""
        self._took_at = now  # they will, and until then no other one has to be woken
        with self._lock:
            while number and self._asleep:
                self._asleep.pop().release()
                number -= 1
        for _ in range(min(number, self.size - len(self._threads))):
            thread_name = f"{self._name}-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=thread_name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _relieve(self) -> None:
        """Have more threads take the calls that have waited for too long; called on the event loop."""
        self._relief = None
        try:
            waiting_since = self._jobs[0].submitted_at
        except IndexError:
            return
        now = time.monotonic()
        if now - waiting_since >= _RELIEF_S:
            self._wake(len(self._jobs) if now - self._took_at > _BUSY_S else 1, now)
        if self._results is not None and (self._asleep or len(self._threads) < self.size):
            self._relief = self._results.loop.call_later(_RELIEF_S, self._relieve)

    def _work(self) -> None:
        sleep = threading.Lock()
        sleep.acquire()
        pid = os.getpid()
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                with self._lock:
                    if self._jobs:
                        continue
                    if self._closed:
                        return
                    self._asleep.append(sleep)
                sleep.acquire()
                continue
            if job.claim():
                self._took_at = began = time.monotonic()
                job.run(began)
                if os.getpid() != pid:
                    os._exit(0)  # a child that the call forked, and that came back from it: nobody waits here


class _Job:
    """One call and who waits for it."""

    __slots__ = (
        "_token",
        "began",
        "call",
        "context",
        "delivered",
        "error",
        "future",
        "name",
        "result",
        "results",
        "submitted_at",
    )

    def __init__(self, call: Callable[[], Any], name: str, results: _Results) -> None:
        self.call = call
        self.name = name
        self.results = results
        self.future: asyncio.Future[Any] = results.loop.create_future()
        self.context = contextvars.copy_context()
        self.submitted_at = time.monotonic()
        self.result: Any = None
        self.error: BaseException | None = None
        self.began = 0.0
        self.delivered = False
        self._token = [None]

    def claim(self) -> bool:
        """Take the call, to make it or to give it up; False where somebody else took it before."""
        try:
            self._token.pop()  # one operation, whatever the other thread does
        except IndexError:
            return False
        return True

    def run(self, began: float) -> None:
        """Make the call, in a thread, and hand its result to the loop."""
        try:
            self.result = self.context.run(self.call)
        except StopIteration as stop:  # a future cannot carry it
            self.error = RuntimeError(f"{self.name} raised StopIteration")
            self.error.__cause__ = stop
        except BaseException as raised:  # noqa: BLE001 - raised again where the caller waits
            self.error = raised
        self.began = began
        self.results.add(self)

    def deliver(self) -> None:
        """Hand over to who waits, on the loop."""
        self.delivered = True
        error = self.error
        if self.future.done():  # cancelled meanwhile
            logger.warning("%s ended in its thread after %.1f s", self.name, time.monotonic() - self.began)
            if error is not None:
                logger.error("%s failed after its request was given up", self.name, exc_info=error)
        elif error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.result)


class _Results:
    """Calls that were made, on their way back to the event loop, which is woken once for all that wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._jobs: deque[_Job] = deque()
        self._announced = False

    def add(self, job: _Job) -> None:
        """Take a call that was made; called in its thread."""
        self._jobs.append(job)
        if self._announced and not self.loop.is_closed():
            return
        self._announced = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop is closed: nobody waits any more
            while self._jobs:
                logger.warning("%s ended after its event loop had", self._jobs.popleft().name)

    def _deliver(self) -> None:
        self._announced = False  # first: what is added from here on is announced again
        while self._jobs:
            self._jobs.popleft().deliver()


def _join(threads: list[threading.Thread], deadline: float) -> None:
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
