"""Which cores the load generator and the servers run on, where `--pin` says that they do not share any."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest import machine
from loadtest.targets import TargetError

__all__ = ["NOWHERE", "Placement", "bind", "placed"]


@dataclass(frozen=True)
class Placement:
    """Cores of the load generator, and those of all servers; none: they are not bound."""

    load: tuple[int, ...] = ()
    servers: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.load:
            return "not pinned: all share the cores"
        return f"pinned: load generator to {numbers(self.load)}, servers to {numbers(self.servers)}"


NOWHERE = Placement()


def numbers(cores: Sequence[int]) -> str:
    """Return cores in words."""
    return f"core{'s' if len(cores) > 1 else ''} {', '.join(map(str, cores))}"


@contextlib.contextmanager
def placed(
    roles: Mapping[str, list[int]], by: Callable[[Sequence[int]], None] | None = None
) -> Iterator[Placement]:
    """Bind all processes of these roles to all cores but the last, which is the load's, for the block's time.

    `by` does it where we cannot. Raises TargetError where it is not possible.
    """
    cores = machine.cores()
    if len(cores) < 2:
        raise TargetError("--pin needs two cores that processes can be bound to; leave it out")
    placement = Placement((cores[-1],), tuple(cores[:-1]))
    by = by or (lambda chosen: bind((pid for pids in roles.values() for pid in pids), chosen))
    by(placement.servers)
    try:
        yield placement
    finally:
        by(cores)


def bind(pids: Iterable[int], cores: Sequence[int]) -> None:
    """Bind these processes, with all their threads and all that they have started. Raises TargetError."""
    for pid in machine.tree(pids):
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            try:
                os.sched_setaffinity(int(thread.name), cores)
            except ProcessLookupError:
                continue
            except PermissionError as error:
                raise TargetError(
                    f"--pin: process {pid} is another user's, and cannot be bound to cores; leave --pin out,"
                    " or run this as root"
                ) from error
