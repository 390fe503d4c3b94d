"""Connections to a program that are kept open for its next requests."""

from __future__ import annotations

import asyncio

__all__ = ["IdleConnections", "Streams"]

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_IDLE_S = 10.0


class IdleConnections:
    """At most `most` connections without a request, each for at most `idle_s` seconds; of one event loop."""

    def __init__(self, most: int, idle_s: float = _IDLE_S) -> None:
        self.most = most
        self._idle_s = idle_s
        self._waiting: list[tuple[float, Streams]] = []  # since when; the one used last at the end
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._waiting)

    def take(self) -> Streams | None:
        """Return the one that was used last and is still open, None where there is none."""
        while self._waiting:
            _, streams = self._waiting.pop()
            if _is_usable(streams):
                return streams
            _close(streams)
        return None

    def keep(self, streams: Streams) -> None:
        """Keep a connection whose request is answered; close it where there are enough, or it ended."""
        if len(self._waiting) >= self.most or not _is_usable(streams):
            _close(streams)
            return
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time(), streams))
        if self._timer is None:
            self._timer = loop.call_later(self._idle_s, self._expire)

    def shrink(self, most: int) -> None:
        """Close the oldest ones, so that there are no more than `most`."""
        while len(self._waiting) > max(most, 0):
            _close(self._waiting.pop(0)[1])

    def close(self) -> None:
        """Close all."""
        self.shrink(0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        fresh = sum(since > loop.time() - self._idle_s for since, _ in self._waiting)
        self.shrink(fresh)
        self._timer = None
        if self._waiting:
            when = self._waiting[0][0] + self._idle_s
            self._timer = loop.call_at(when, self._expire)


def _is_usable(streams: Streams) -> bool:
    """Tell whether a connection is open and silent: what a program says unasked is no answer to anybody."""
    reader, writer = streams
    unasked = reader._buffer  # type: ignore[attr-defined] # there is no public way to look without waiting
    return not (unasked or reader.at_eof() or reader.exception() or writer.transport.is_closing())


def _close(streams: Streams) -> None:
    streams[1].transport.abort()
