"""Programs by FastCGI (FastCGI 1.0): requests to a responder, on a connection for each.

A connection that is kept would keep a process of the program waiting: PHP, for one, serves as many
connections as it has processes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from pierhead.interfaces.gateway.application import Run
from pierhead.interfaces.gateway.errors import GatewayError
from pierhead.interfaces.gateway.scripts import Script
from pierhead.interfaces.gateway.upstream import PIECE_BYTES, Connection, UpstreamApplication
from pierhead.messages.request import Request
from pierhead.messages.uploads import Upload
from pierhead.protocols.fastcgi import (
    BeginRequest,
    EndRequest,
    FastCGIError,
    ProtocolStatus,
    Record,
    RecordReader,
    RecordType,
    Role,
    encode_pairs,
    render,
    render_stream,
)

__all__ = ["FastCGIApplication"]

logger = logging.getLogger("pierhead.app")

_ID = 1
_REFUSALS: dict[int, tuple[int, str]] = {
    ProtocolStatus.OVERLOADED: (503, "it is overloaded"),
    ProtocolStatus.CANT_MPX_CONN: (502, "it takes one request at a time"),
    ProtocolStatus.UNKNOWN_ROLE: (502, "it is no responder"),
}


class FastCGIApplication(UpstreamApplication):
    """A program that answers FastCGI; see UpstreamApplication."""

    async def _open(
        self, request: Request, script: Script | None, variables: dict[str, str], body: Upload | None
    ) -> Run:
        # PHP that is told to (cgi.force_redirect) only answers what a web server has redirected to it.
        variables["REDIRECT_STATUS"] = "200"
        streams = await self._upstream.connect(self._free)
        name = f"[{request.id}] {self.name}"
        return _FastCGIConnection(streams, _sent(variables, body), name, self._free)


class _FastCGIConnection(Connection):
    """A request on its connection, whose output comes in records."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._records = RecordReader()
        self._output: list[bytes] = []
        self._ended = False

    async def read(self) -> bytes:
        while not self._output and not self._ended:
            data = await super().read()
            if not data:
                raise GatewayError(502, "it closed the connection before its answer was complete")
            try:
                for record in self._records.feed(data):
                    self._take(record)
            except FastCGIError as error:
                raise GatewayError(502, f"it does not speak FastCGI: {error}") from None
        output, self._output = b"".join(self._output), []
        return output

    def _take(self, record: Record) -> None:
        if record.request_id != _ID or self._ended:
            return
        if record.type == RecordType.STDOUT and record.content:
            self._output.append(record.content)
        elif record.type == RecordType.STDERR:
            for line in record.content.decode("utf-8", "replace").splitlines():
                logger.warning("%s: %s", self._name, line)
        elif record.type == RecordType.END_REQUEST:
            self._ended = True
            end = EndRequest.decode(record.content)
            if end.protocol_status in _REFUSALS:
                raise GatewayError(*_REFUSALS[end.protocol_status])
            if end.app_status:
                logger.error("%s: exited with %d", self._name, end.app_status)


async def _sent(variables: Mapping[str, str], body: Upload | None) -> AsyncIterator[bytes]:
    """Yield the records of a request."""
    pairs = [
        (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in variables.items()
    ]
    head = render(RecordType.BEGIN_REQUEST, _ID, BeginRequest(Role.RESPONDER, keep_connection=False).encode())
    head += render_stream(RecordType.PARAMS, _ID, encode_pairs(pairs))
    yield head + render(RecordType.PARAMS, _ID)
    while body is not None and (piece := await body.read(PIECE_BYTES)):
        yield render_stream(RecordType.STDIN, _ID, piece)
    yield render(RecordType.STDIN, _ID)
