"""The limits of isolated processes, whether they are the server's or those of one application of several."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pierhead.config.apps import AppSettings
    from pierhead.config.settings import Settings

__all__ = ["IsolationLimits"]


@dataclasses.dataclass(frozen=True, slots=True)
class IsolationLimits:
    """What holds for the processes of one application in one worker; see the settings `isolation_*`."""

    min_processes: int
    max_processes: int
    idle_timeout_s: float
    timeout_s: float
    max_queued: int
    queue_timeout_s: float
    start_timeout_s: float
    drain_timeout_s: float

    @classmethod
    def of(cls, settings: Settings, app: AppSettings | None = None) -> IsolationLimits:
        """Return the server's limits, or an application's where it has its own."""

        def value(name: str) -> float:
            own: float = getattr(app, name) if app is not None else 0
            return own or getattr(settings, name)

        most = int(value("isolation_max_processes"))
        return cls(
            min_processes=min(int(value("isolation_min_processes")), most),
            max_processes=most,
            idle_timeout_s=value("isolation_idle_timeout_s"),
            timeout_s=value("isolation_timeout_s"),
            max_queued=int(value("isolation_max_queued")),
            queue_timeout_s=value("isolation_queue_timeout_s"),
            start_timeout_s=settings.start_timeout_s,
            drain_timeout_s=settings.drain_timeout_s,
        )
