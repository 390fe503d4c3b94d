"""What a server asks of an application, whatever interface the application is written for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pierhead.messages.request import Request
    from pierhead.messages.response import Response
    from pierhead.messages.websocket import WebSocket

__all__ = ["Application"]


class Application(Protocol):
    """One loaded application; protocols call it and never see which interface is behind it."""

    @property
    def name(self) -> str:
        """What logs call it."""
        ...

    def start_master(self) -> None:
        """Run once in the process that imported the application, before it forks the workers.

        Any exception is a failed start. It must leave no thread and no event loop behind: both do not
        survive the fork.
        """
        ...

    def stop_master(self) -> None:
        """Run once in that process, after the last of its workers has left."""
        ...

    async def start(self) -> None:
        """Run in each worker before its first request; any exception is a failed start."""
        ...

    async def stop(self) -> None:
        """Run in each worker after its last request."""
        ...

    async def respond(self, request: Request) -> Response | None:
        """Answer one request; returns None where the response was sent through `request.channel`.

        An application's failures become responses: an Exception leaves this only where a response that was
        begun on the channel cannot be completed.
        """
        ...

    async def converse(self, socket: WebSocket) -> None:
        """Handle one WebSocket, from before its handshake is answered until it is closed."""
        ...
