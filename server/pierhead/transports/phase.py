"""What a connection waits for: the reason of its deadline."""

from __future__ import annotations

import enum

__all__ = ["FIRST_BYTE", "HANDLER", "HEAD", "IDLE", "LINGER", "REST", "SENDING", "Phase"]


class Phase(enum.Enum):
    """What the connection's deadline is for."""

    FIRST_BYTE = "the first byte of the first request"
    IDLE = "the first byte of a next request"
    HEAD = "the rest of a request head"
    HANDLER = "the application's response"
    SENDING = "nothing: the response is on its way"
    REST = "the rest of a body nobody reads"
    LINGER = "the client to close"


# As globals: looking a member of an Enum up costs more, and this is done several times for every request.
FIRST_BYTE, IDLE, HEAD, HANDLER, SENDING, REST, LINGER = Phase
