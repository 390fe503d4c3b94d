"""A pool of threads for handlers that block: bounded, started when needed, and never lost without a word.

Python cannot stop a thread. Where the request of a running call is given up, the call goes on; the log says
so, and says when it ended. The threads are daemons: one that never returns does not keep the process from
ending.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["ThreadPool"]

logger = logging.getLogger("pierhead.app")


class ThreadPool:
    """At most `size` threads; further calls wait in line."""

    def __init__(self, size: int, *, name: str = "pierhead") -> None:
        if size < 1:
            raise ValueError(f"a pool has at least 1 thread, not {size}")
        self.size = size
        self._name = name
        self._threads: list[threading.Thread] = []
        self._jobs: deque[_Job] = deque()
        self._idle = 0
        self._closed = False
        self._changed = threading.Condition()

    async def run(self, call: Callable[[], Any], name: str) -> Any:
        """Call `call` in a thread, in a copy of the caller's context; returns and raises what it does.

        `name` is how the log calls it. A call still waiting for a thread when the caller is cancelled is
        never made. Raises RuntimeError once the pool is closed.
        """
        loop = asyncio.get_running_loop()
        job = _Job(call, name, loop)
        with self._changed:
            if self._closed:
                raise RuntimeError(f"{name} cannot be called: the application has stopped")
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
            elif len(self._threads) < self.size:
                self._start_thread()
        try:
            return await job.future
        except asyncio.CancelledError:
            with self._changed:
                if job in self._jobs:
                    self._jobs.remove(job)
                elif not job.done:
                    job.given_up = True
                    logger.warning("%s goes on in its thread: its request was given up", name)
            raise

    async def close(self, grace_s: float = 1.0) -> None:
        """Take no more calls and wait at most `grace_s` seconds for those in progress; the rest is logged."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            threads = self._threads.copy()
        if not threads:
            return
        deadline = time.monotonic() + grace_s
        await asyncio.to_thread(_join, threads, deadline)
        left = sum(thread.is_alive() for thread in threads)
        if left:
            logger.error("threads still in a handler: %d; they end with the process", left)

    def _start_thread(self) -> None:
        number = len(self._threads) + 1
        thread = threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job.run()
            with self._changed:
                job.done = True
                given_up = job.given_up
            if given_up:
                logger.warning("%s ended in its thread after %.1f s", job.name, job.seconds)

    def _next(self) -> _Job | None:
        with self._changed:
            self._idle += 1
            try:
                while not self._jobs:
                    if self._closed:
                        return None
                    self._changed.wait()
                return self._jobs.popleft()
            finally:
                self._idle -= 1


class _Job:
    """One call and who waits for it."""

    __slots__ = ("call", "context", "done", "future", "given_up", "loop", "name", "seconds")

    def __init__(self, call: Callable[[], Any], name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.call = call
        self.name = name
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.context = contextvars.copy_context()
        self.done = False
        self.given_up = False
        self.seconds = 0.0

    def run(self) -> None:
        """Make the call, in a thread, and hand its result to the loop."""
        began = time.monotonic()
        result: Any = None
        error: BaseException | None = None
        try:
            result = self.context.run(self.call)
        except StopIteration as stop:  # a future cannot carry it
            error = RuntimeError(f"{self.name} raised StopIteration")
            error.__cause__ = stop
        except BaseException as raised:  # noqa: BLE001 - raised again where the caller waits
            error = raised
        self.seconds = time.monotonic() - began
        try:
            self.loop.call_soon_threadsafe(self._finish, result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            logger.warning("%s ended after its event loop had", self.name)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():  # cancelled meanwhile
            if error is not None:
                logger.error("%s failed after its request was given up", self.name, exc_info=error)
        elif error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


def _join(threads: list[threading.Thread], deadline: float) -> None:
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
