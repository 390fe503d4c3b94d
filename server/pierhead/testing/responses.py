"""Responses as a test sees them: whole, or while they come."""

from __future__ import annotations

import dataclasses
import json as json_module
from collections.abc import Iterator
from typing import Any

import h11

from pierhead.errors import reason_phrase
from pierhead.messages.headers import Headers
from pierhead.testing.runner import Runner
from pierhead.transports.memory import MemoryTransport

__all__ = ["ClientResponse", "ClientStream"]


@dataclasses.dataclass(frozen=True, slots=True)
class ClientResponse:
    """A whole response."""

    status: int
    reason: str
    headers: Headers
    body: bytes
    http_version: str = "1.1"

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body as JSON."""
        return json_module.loads(self.body)


class ClientStream:
    """A response while it comes: status and headers at once, the body by iteration."""

    def __init__(self, client: Runner, transport: MemoryTransport, connection: h11.Connection) -> None:
        self._client = client
        self._transport = transport
        self._connection = connection
        self.trailers = Headers()
        """The trailer fields, after the last piece of the body."""
        event = self._next()
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            event = self._next()
        assert isinstance(event, h11.Response | h11.InformationalResponse)
        self.status: int = event.status_code
        self.reason = bytes(event.reason).decode("latin-1") or reason_phrase(self.status)
        self.headers = Headers(list(event.headers.raw_items()))
        self.http_version = bytes(event.http_version).decode()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            event = self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.trailers = Headers(list(event.headers.raw_items()))
                return
            else:
                return

    def _next(self) -> Any:
        try:
            while (event := self._connection.next_event()) is h11.NEED_DATA:
                self._connection.receive_data(self._client._call(self._transport.receive()))
        except h11.RemoteProtocolError as error:
            raise ConnectionError(f"the response is broken off or malformed: {error}") from error
        if isinstance(event, h11.ConnectionClosed):
            raise ConnectionError("the server closed the connection without a response")
        return event
