"""A WebSocket from its opening to its close, whatever the application does meanwhile."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pierhead.errors import ClientDisconnected, WebSocketClosed
from pierhead.failures import log_failure
from pierhead.messages.response import Response

if TYPE_CHECKING:
    from pierhead.interfaces.base import Application
    from pierhead.messages.websocket import WebSocket

__all__ = ["converse", "departure"]


async def departure(socket: WebSocket) -> None:
    """Wait until the client has left, before its handshake is answered."""
    with contextlib.suppress(WebSocketClosed):
        await socket.disconnect()


async def converse(application: Application, socket: WebSocket) -> None:
    """Have `application` converse, and end what it leaves open.

    An application that raises is answered with 500 or, after the handshake, closed with 1011; one that does
    not answer the handshake is rejected with 403. Raises ClientDisconnected and WebSocketClosed.
    """
    pid = os.getpid()
    try:
        await application.converse(socket)
    except (ClientDisconnected, WebSocketClosed):
        raise
    except (Exception, SystemExit) as error:
        # To leave would end the worker, and with it what others do there; unless this is its child.
        if isinstance(error, SystemExit) and os.getpid() != pid:
            raise
        log_failure(socket.request, "WebSocket handler failed", exc_info=True)
        if socket.answered:
            await socket.close(1011, "the server failed")
        else:
            await socket.reject(Response.problem(500))
    if not socket.answered:
        await socket.reject(Response.problem(403, "the application did not accept the WebSocket"))
    await socket.close()
