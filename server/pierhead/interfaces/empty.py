"""A body of nothing, for responses that do not say how long theirs would be."""

from __future__ import annotations

from collections.abc import AsyncIterator

__all__ = ["nothing"]


async def nothing() -> AsyncIterator[bytes]:
    """Yield nothing."""
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece
