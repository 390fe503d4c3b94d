"""Limits of an application's or a route's own, below the server's."""

from __future__ import annotations

import dataclasses
from typing import Literal, TypedDict

__all__ = ["Isolated", "Limits", "LimitsGiven", "RouteOptions"]

Isolated = Literal["process"] | None
"""Whether what leads to a route runs in a process of its own."""


class LimitsGiven(TypedDict, total=False):
    """Limits as arguments; see `Limits`."""

    max_body_bytes: int | None
    handler_timeout_s: float | None


class RouteOptions(LimitsGiven, total=False):
    """What a route takes beside its path; see `pierhead.App.route`."""

    isolation: Isolated


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What a request may take; None: no other limit than those around it.

    Raises ValueError for one that is not positive.
    """

    max_body_bytes: int | None = None
    """Of its body, else 413."""
    handler_timeout_s: float | None = None
    """Until there is a response, else 504."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and value <= 0:
                raise ValueError(
                    f"{field.name} is a number greater than 0, or None for no limit, not {value!r}"
                )

    def __bool__(self) -> bool:
        return self.max_body_bytes is not None or self.handler_timeout_s is not None
