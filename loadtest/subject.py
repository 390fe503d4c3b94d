"""What is measured: a stack that runs, and what can be asked of it and done to it beside its load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Sql", "Subject"]

Sql = Callable[[str], str]  # runs a script as psql does, as the superuser; TargetError if it cannot


@dataclass(frozen=True)
class Subject:
    """A stack: `status` is what `./kit status --json` prints (role -> url, pid, version); {}: there is none.

    `sql` asks its database; `renew` replaces the application's processes by new ones; `bind` has all of it
    run on some cores only; `disturb` makes a fault happen: (fault, proxy) -> what was done; `environment` is
    the application's, for the same application on other servers. None: that is not possible here.
    """

    status: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sql: Sql | None = None
    renew: Callable[[], None] | None = None
    bind: Callable[[Sequence[int]], None] | None = None
    disturb: Callable[[str, str], str] | None = None
    environment: Mapping[str, str] | None = None
    compose: bool = False  # in containers
