"""Why a program did not answer."""

from __future__ import annotations

from pierhead.errors import PierheadError

__all__ = ["GatewayError"]


class GatewayError(PierheadError):
    """A program failed; `status` is what the client is told, the message is for the log alone."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        """Return the message."""
        return self.message
