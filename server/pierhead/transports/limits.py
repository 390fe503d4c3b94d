"""What the connections of a listener are held to, and the requests in progress that are counted together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pierhead.forwarded import WARY
from pierhead.protocols.http1 import Http1Limits, SimpleHeads
from pierhead.transports.body import IncomingBody, body_limits

if TYPE_CHECKING:
    from pierhead.config import Settings
    from pierhead.config.listen import OwnLimits
    from pierhead.interfaces.base import Application
    from pierhead.transports.crowd import Crowd
    from pierhead.transports.tally import Tally

__all__ = ["InFlight", "ListenerLimits"]


class InFlight:
    """Requests and WebSockets that are counted together, from when they first wait, and who answers them.

    `changed` is called when one has ended.
    """

    def __init__(self, application: Application, changed: Callable[[], None]) -> None:
        self.application = application
        self.tasks: set[asyncio.Task[None]] = set()
        self.ended: Callable[[], None] = _nothing
        """Called then as well; it is for who holds back requests where there are too many."""
        self._changed = changed

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold a task that goes on; it is waited for when draining."""
        self.tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._changed()
        self.ended()
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a connection's task failed", "exception": error, "task": task}
            )


class ListenerLimits:
    """The limits of a listener, or of several that have the same, as its connections ask for them.

    Whatever is asked for with every request is worked out beforehand. `settings` are the server's, with the
    listener's `own` in their place; `watched` are the fields that heads are looked through for.
    """

    def __init__(
        self,
        settings: Settings,
        own: OwnLimits,
        watched: Sequence[bytes],
        in_flight: InFlight,
        clients: Crowd,
        connections: Tally | None = None,
    ) -> None:
        self.settings = settings
        self.own = own
        self.in_flight = in_flight
        self.respond = in_flight.application.respond
        self.connections = connections
        """How many there are, where the listener has a limit of its own for them."""
        self.clients = clients
        """How many each client has."""
        self.heads = Http1Limits(
            max_line_bytes=settings.max_line_bytes,
            max_head_bytes=settings.max_head_bytes,
            max_headers=settings.max_headers,
            max_body_bytes=settings.max_body_bytes,
        )
        self.simple_heads = SimpleHeads(self.heads, watched, WARY)
        self.bodies = body_limits(settings)
        self.idle_deadline = math.inf
        """When a connection that is idle from now on is closed."""
        self.handler_deadline = math.inf
        """When an application that begins to answer now takes too long."""

    def set_time(self, now: float) -> None:
        """Take the time of a sweep, which deadlines are reckoned from until the next one."""
        settings = self.settings
        self.idle_deadline = now + (settings.keep_alive_timeout_s or math.inf)
        self.handler_deadline = now + (settings.handler_timeout_s or math.inf)

    def make_body(self, started: Callable[[], None], changed: Callable[[], None]) -> IncomingBody:
        """Return a body to be fed; see IncomingBody."""
        settings = self.settings
        return IncomingBody(started, changed, settings.body_timeout_s, settings.min_body_rate_bytes)


def _nothing() -> None:
    """Do nothing."""
