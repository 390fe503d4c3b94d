"""What an exchange asks of what carries its response: an HTTP/1 connection, or a stream of an HTTP/2 one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pierhead.protocols.codec import ResponseCodec

if TYPE_CHECKING:
    from pierhead.messages.request import Address
    from pierhead.messages.tls import TLSInfo
    from pierhead.transports.limits import ListenerLimits
    from pierhead.transports.server import Server

__all__ = ["Carrier", "Origin"]


class Origin(Protocol):
    """Where a request comes from."""

    @property
    def client(self) -> Address:
        """The peer."""
        ...

    @property
    def local(self) -> Address:
        """The server's own address."""
        ...

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        ...

    @property
    def trusted(self) -> bool:
        """Whether the peer is a proxy whose word about its clients counts."""
        ...

    @property
    def tls(self) -> TLSInfo | None:
        """What is known of the TLS connection, where it is one."""
        ...

    @property
    def limits(self) -> ListenerLimits:
        """What requests are held to."""
        ...


class Carrier(Protocol):
    """The client's side of one exchange."""

    @property
    def server(self) -> Server:
        """The server that it belongs to."""
        ...

    @property
    def limits(self) -> ListenerLimits:
        """What it is held to."""
        ...

    @property
    def codec(self) -> ResponseCodec:
        """What renders the response."""
        ...

    @property
    def write(self) -> Callable[[bytes], None]:
        """Sends what the codec has rendered, after what was sent before."""
        ...

    @property
    def transport(self) -> asyncio.Transport:
        """What moves the bytes."""
        ...

    @property
    def lost(self) -> bool:
        """Whether nothing can be sent any more."""
        ...

    @property
    def congested(self) -> bool:
        """Whether `drain` would wait."""
        ...

    @property
    def client_left(self) -> bool:
        """Whether the client is gone, or about to be."""
        ...

    async def drain(self) -> None:
        """Wait while the client is slow to take what was written; raises ClientDisconnected if it left."""
        ...

    def extend(self, seconds: float) -> None:
        """Give the application at least `seconds` from now on to begin its response."""
        ...

    def sending(self) -> None:
        """Note that the response is on its way."""
        ...

    def settle_close(self) -> None:
        """Decide, before a response's head is rendered, whether the connection must end with it."""
        ...

    def answered(self) -> None:
        """Go on after a complete response."""
        ...

    def abort(self) -> None:
        """Cut the response, so that the client sees that it is incomplete."""
        ...
