"""A layer around an application: passes on what a subclass does not do itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pierhead.interfaces.base import Application
    from pierhead.messages.websocket import WebSocket

__all__ = ["Layer"]


class Layer:
    """Fulfils `pierhead.interfaces.base.Application` by another one; `respond` is the subclass's own."""

    def __init__(self, application: Application) -> None:
        self.application = application

    @property
    def name(self) -> str:
        """What logs call the application."""
        return self.application.name

    def start_master(self) -> None:
        """Pass on; see Application."""
        self.application.start_master()

    def stop_master(self) -> None:
        """Pass on; see Application."""
        self.application.stop_master()

    async def start(self) -> None:
        """Pass on; see Application."""
        await self.application.start()

    async def stop(self) -> None:
        """Pass on; see Application."""
        await self.application.stop()

    async def converse(self, socket: WebSocket) -> None:
        """Pass on; see Application."""
        await self.application.converse(socket)
