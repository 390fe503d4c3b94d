"""The FastCGI codec of one connection, in the part of the application: bytes in, events out, and back.

A connection carries one request at a time (FCGI_MPXS_CONNS is 0), one after the other where the web server
wants to keep it. Records of requests that are not active are ignored, as the specification asks (3.3); what
no record may be ends the connection.
"""

from __future__ import annotations

from collections import deque

from pierhead.protocols.cgi.gateway import GatewayCodec, State
from pierhead.protocols.cgi.render import CgiResponseWriter
from pierhead.protocols.cgi.variables import GatewayRequest, max_variables_bytes
from pierhead.protocols.fastcgi.records import (
    HEADER_BYTES,
    MANAGEMENT_ID,
    BeginRequest,
    EndRequest,
    FastCGIError,
    ProtocolStatus,
    Record,
    RecordReader,
    RecordType,
    Role,
    decode_pairs,
    encode_pairs,
    render,
    render_stream,
)
from pierhead.protocols.http1.events import Event, Http1Limits, RawFields
from pierhead.protocols.http1.gate import RefusedError

__all__ = ["FastCGICodec"]


class FastCGICodec(GatewayCodec):
    """Reads the requests and writes the responses of one server-side connection.

    `max_connections` is what a web server is told that asks for it (FCGI_GET_VALUES).
    """

    def __init__(self, limits: Http1Limits, *, max_connections: int) -> None:
        super().__init__(limits)
        self.finished = False
        """Whether the connection is to be closed, once the output was written."""
        self._output = bytearray()
        self._max_connections = max_connections
        self._reader = RecordReader()
        self._held: deque[Record] = deque()  # of the next request, until this one's end was written
        self._request_id = 0
        self._answered = False
        self._params = bytearray()
        self._prepared: GatewayRequest | None = None  # until it shows whether it has a body

    # Reading

    @property
    def idle(self) -> bool:
        """Whether no byte of a next request has come yet."""
        return self._state is State.HEAD and not self._request_id and not self._reader.buffered_bytes

    @property
    def begun(self) -> bool:
        """Whether there is a request that can be answered."""
        return bool(self._request_id)

    @property
    def buffered_bytes(self) -> int:
        """How many bytes are kept that no event has carried yet."""
        return self._reader.buffered_bytes + sum(HEADER_BYTES + len(record.content) for record in self._held)

    def next_request(self) -> list[Event]:
        """Go on to the next request once the current one is complete and answered."""
        if self._state is not State.COMPLETE:
            raise RuntimeError(f"no next request while the codec {self._state.value}")
        self._state = State.HEAD
        self._request_id = 0
        self._answered = False
        return self._guarded(b"", eof=False)

    def _read(self, data: bytes, events: list[Event]) -> None:
        try:
            self._held += self._reader.feed(data)
            while self._held and not (self._answered and self._state is State.COMPLETE):
                self._take(self._held.popleft(), events)
                if self._state is State.BROKEN:
                    self._held.clear()
                    return
            self._reader.feed(b"")  # says whether what follows is no record
        except FastCGIError as error:
            raise RefusedError(400, str(error)) from error

    def _take(self, record: Record, events: list[Event]) -> None:
        """Act on one record; raises RefusedError and FastCGIError."""
        if record.request_id == MANAGEMENT_ID:
            self._output += self._manage(record)
        elif record.type == RecordType.BEGIN_REQUEST:
            self._take_begin(record)
        elif record.type not in {RecordType.PARAMS, RecordType.STDIN, RecordType.ABORT_REQUEST}:
            raise FastCGIError(f"a record of type {record.type} is not for a responder")
        elif record.request_id != self._request_id:
            return
        elif record.type == RecordType.PARAMS:
            self._take_params(record.content, events)
        elif record.type == RecordType.STDIN:
            self._take_stdin(record.content, events)
        else:
            self._output += self._wrap_end()
            self.finished = True
            self._request_id = 0
            self._keep_alive = False
            self._state = State.BROKEN

    def _manage(self, record: Record) -> bytes:
        """Answer a record that belongs to no request (4)."""
        if record.type == RecordType.GET_VALUES:
            limit = b"%d" % self._max_connections
            known = {b"FCGI_MAX_CONNS": limit, b"FCGI_MAX_REQS": limit, b"FCGI_MPXS_CONNS": b"0"}
            asked = dict.fromkeys(name for name, _ in decode_pairs(record.content))
            values = encode_pairs((name, known[name]) for name in asked if name in known)
            return render(RecordType.GET_VALUES_RESULT, MANAGEMENT_ID, values)
        if record.type <= RecordType.DATA:
            raise FastCGIError(f"a record of type {record.type} has no request id")
        return render(RecordType.UNKNOWN_TYPE, MANAGEMENT_ID, bytes((record.type, *bytes(7))))

    def _take_begin(self, record: Record) -> None:
        begin = BeginRequest.decode(record.content)
        if record.request_id == self._request_id:
            raise FastCGIError("a request began twice")
        if self._request_id:
            self._output += _ended(record.request_id, ProtocolStatus.CANT_MPX_CONN)
        elif begin.role != Role.RESPONDER:
            self._output += _ended(record.request_id, ProtocolStatus.UNKNOWN_ROLE)
            if not begin.keep_connection:
                self.finished = True
                self._state = State.BROKEN
        else:
            self._request_id = record.request_id
            self._keep_alive = begin.keep_connection
            self._params.clear()
            self._prepared = None
            self._writer = CgiResponseWriter("GET")

    def _take_params(self, content: bytes, events: list[Event]) -> None:
        if self._prepared is not None or self._state is not State.HEAD:
            raise FastCGIError("PARAMS after their end")
        if content:
            self._params += content
            if len(self._params) > max_variables_bytes(self._limits):
                raise RefusedError(431, "the variables are longer than a request head may be")
            return
        self._prepared = self._understand(decode_pairs(bytes(self._params)))
        self._params.clear()
        if self._prepared.head.length:
            self._begin(self._prepared, events)

    def _take_stdin(self, content: bytes, events: list[Event]) -> None:
        """Take a piece of the body, or its end; without a CONTENT_LENGTH the first shows if there is one."""
        if self._state is State.HEAD:
            if self._prepared is None:
                raise FastCGIError("STDIN before the end of PARAMS")
            unknown_length = bool(content) and not self._prepared.length_known
            self._begin(self._prepared, events, unknown_length=unknown_length)
            if not content:
                return
        if self._state is State.COMPLETE:
            raise FastCGIError("STDIN after the end of the body")
        self._take_body(content, events)
        if self._left is not None and self._left < 0:
            raise RefusedError(400, "the body is longer than the CONTENT_LENGTH")
        if not content:
            if self._left:
                raise RefusedError(400, "the body is shorter than the CONTENT_LENGTH")
            self._finish(events)

    # Writing

    def take_output(self) -> bytes:
        """Return what the codec itself answers to records that are not for the application."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def respond(self, status: int, fields: RawFields, body: bytes, stamp: bytes = b"") -> bytes:
        """Render a whole response; see `ResponseWriter.head` for the errors and for `stamp`."""
        self._settle()
        return super().respond(status, fields, body, stamp)

    def start_response(self, status: int, fields: RawFields, stamp: bytes = b"") -> bytes:
        """Render the head of a response whose body comes piece by piece."""
        self._settle()
        return super().start_response(status, fields, stamp)

    def _settle(self) -> None:
        """Give the connection up where the request's rest would have to be told from a next request."""
        if self._state is not State.COMPLETE:
            self._keep_alive = False

    def _wrap(self, data: bytes) -> bytes:
        return render_stream(RecordType.STDOUT, self._request_id, data) if self._request_id else b""

    def _wrap_end(self) -> bytes:
        if not self._request_id:
            return b""
        self._answered = True
        end = _ended(self._request_id, ProtocolStatus.REQUEST_COMPLETE)
        return render(RecordType.STDOUT, self._request_id) + end


def _ended(request_id: int, status: ProtocolStatus) -> bytes:
    return render(RecordType.END_REQUEST, request_id, EndRequest(status).encode())
