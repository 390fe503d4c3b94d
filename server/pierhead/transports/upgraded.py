"""What a connection asks of that which takes the place of HTTP/1 on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pierhead.messages.request import Request

__all__ = ["Upgraded"]


class Upgraded(Protocol):
    """What takes the place of HTTP/1 on a connection: a WebSocket, also in another process, or HTTP/2."""

    @property
    def requests(self) -> Iterable[Request]:
        """The requests that are being answered, but for the one that it was upgraded with."""
        ...

    def data_received(self, data: bytes) -> None:
        """Take what came."""

    def eof_received(self) -> None:
        """Take the end of the peer's bytes."""

    def connection_lost(self) -> None:
        """Take the loss of the connection."""

    def writable(self) -> None:
        """Go on: the peer has taken what it was sent."""

    def tick(self, now: float) -> None:
        """Act on deadlines."""

    def go_away(self, code: int) -> None:
        """End soon: the server leaves. A WebSocket is closed with this code."""
