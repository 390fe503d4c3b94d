"""How an application answers that goes on after its response, or makes it piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pierhead.messages.headers import RawHeaders
    from pierhead.messages.response import Response

__all__ = ["ResponseChannel"]


class ResponseChannel(Protocol):
    """Takes the response of one request while `respond` still runs; implemented by the transports.

    All but `hint` wait while the client is slow, and raise ClientDisconnected once it is gone, or once the
    response is complete. ResponseError is raised for what cannot be sent; before `started` another response
    may follow.
    """

    @property
    def started(self) -> bool:
        """Whether the head of a response was sent, so that there is no other one any more."""
        ...

    @property
    def done(self) -> bool:
        """Whether the response is complete."""
        ...

    @property
    def client_left(self) -> bool:
        """Whether nobody reads what is sent."""
        ...

    def hint(self, fields: RawHeaders) -> None:
        """Send 103 (Early Hints, RFC 8297), where the client's protocol has it and no response was begun."""
        ...

    def extend(self, seconds: float) -> None:
        """Give the application at least `seconds` more, from now on, to begin its response."""
        ...

    def answer(self, status: int, fields: RawHeaders, body: bytes) -> Awaitable[None] | None:
        """Send a whole response at once, as `send` does; returns what to await where the client is slow."""
        ...

    async def send(self, response: Response, *, more: bool = False) -> None:
        """Send a response; with `more`, its body, which is bytes then, is the first piece of several."""
        ...

    async def write(self, piece: bytes) -> None:
        """Send a further piece of the body."""
        ...

    async def end(self, trailers: RawHeaders | None = None) -> None:
        """Complete the response; trailer fields are left out where the client's protocol has none."""
        ...

    async def disconnect(self) -> None:
        """Wait until the client left, or has sent no more for a while, or the response is complete."""
        ...
