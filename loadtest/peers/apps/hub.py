"""Events for everybody, as fast as all of them take them: nobody is ever ahead of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

__all__ = ["CHUNK", "GREETING", "Hub", "pieces"]

GREETING = b"Hello, World!"
CHUNK = bytes(64 * 1024)


class Hub:
    """A fan-out that is limited by the server alone: an event is made when all have been sent the last."""

    def __init__(self) -> None:
        self.number = 0
        self.waiting: list[asyncio.Future[None]] = []
        self.listeners = 0

    async def events(self, listeners: int) -> AsyncIterator[bytes]:
        """Yield events for ever, the first once there are so many listeners.

        Whoever asks for the next event has sent the one before; the last to ask makes it.
        """
        loop = asyncio.get_running_loop()
        self.listeners += 1
        try:
            while True:
                if self.listeners < listeners or len(self.waiting) + 1 < self.listeners:
                    turn = loop.create_future()
                    self.waiting.append(turn)
                    await turn
                else:
                    self.number += 1
                    waiting, self.waiting = self.waiting, []
                    for turn in waiting:
                        if not turn.done():
                            turn.set_result(None)
                yield b"id: %d\ndata: a piece of news for everybody\n\n" % self.number
        finally:
            self.listeners -= 1
            self.waiting = [turn for turn in self.waiting if not turn.done()]


async def pieces(size: int) -> AsyncIterator[bytes]:
    """Yield `size` bytes."""
    while size > 0:
        yield CHUNK if size >= len(CHUNK) else CHUNK[:size]
        size -= len(CHUNK)
