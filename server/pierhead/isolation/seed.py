"""A seed: a nursery with the code that one application was last reloaded with, kept for workers to come.

It is forked from the nursery of the worker that has loaded that code first, and belongs to the generation: so
it is there when workers are gone, and whatever has become of the files meanwhile.
"""

from __future__ import annotations

import contextlib
import socket

from pierhead.isolation.frames import Kind, encode

__all__ = ["Seed"]


class Seed:
    """A generation's side of it; it ends when this is closed."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    @classmethod
    def pair(cls) -> tuple[Seed, socket.socket]:
        """Return one, and the end that the process which is to be it gets. Raises OSError."""
        ours, theirs = socket.socketpair()
        return cls(ours), theirs

    def nursery(self) -> socket.socket | None:
        """Have it fork a nursery; returns a worker's end of the link to that, None where the seed is gone."""
        with contextlib.suppress(OSError):
            ours, theirs = socket.socketpair()
            try:
                with theirs:
                    socket.send_fds(self._end, [encode(Kind.COPY)], [theirs.fileno()])
            except OSError:
                ours.close()
            else:
                return ours
        return None

    def close(self) -> None:
        """Let go of it."""
        self._end.close()
