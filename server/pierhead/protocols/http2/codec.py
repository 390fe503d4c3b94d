"""The HTTP/2 codec of one connection: bytes in, events out; the responses of its streams in, bytes out.

    codec = Http2Codec(Http1Limits(), max_streams=100)
    for event in codec.feed(data): ...   # Began, then StreamEvents; Reset, Quiet, Failed
    stream.respond(200, [(b"content-type", b"text/plain")], b"hello")
    codec.commit(stream)
    out = codec.take_output(65536)       # control frames, and bodies as far as there is room for them

The state of connection and streams, HPACK and flow control are `h2`'s. In front of it stand the frames
(see `guard`) and the heads (see `heads`); behind it the bodies that wait for the client to have room, of
which each stream sends a frame in turn.
"""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import NoSuchStreamError, ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from pierhead.protocols.http1.events import Data, End, Http1Limits, RawFields, Refused
from pierhead.protocols.http1.gate import RefusedError
from pierhead.protocols.http2.events import Began, Failed, Http2Event, Quiet, Reset, StreamEvent
from pierhead.protocols.http2.frames import MAX_FRAME_BYTES, PREFACE, FrameHeader, FrameSplitter, FrameType
from pierhead.protocols.http2.guard import ExcessError, Guard
from pierhead.protocols.http2.heads import MalformedError, read_head, read_trailers
from pierhead.protocols.http2.stream import StreamCodec

__all__ = ["Http2Codec"]

_WINDOW_BYTES = 65535  # of each stream: how much of a body may wait here for its handler
_CONNECTION_WINDOW_BYTES = 1 << 20  # given back at once, so that a slow stream does not hold up the others
_UPDATE_BYTES = _WINDOW_BYTES // 2
_FIELD_OVERHEAD_BYTES = 32  # of each field, as HTTP/2 counts (RFC 9113, 6.5.2)
_TABLE_BYTES = 4096  # of HPACK, for what is sent: the protocol's default
_WHOLE_PIECE_BYTES = 1024
_LAST_ID = 2**31 - 1
_ACK = 0x1
_PING = b"pierhead"


class _Connection(H2Connection):
    """As h2's; of streams that are closed it remembers fewer, for there is no end to them."""

    MAX_CLOSED_STREAMS = 1024


class Http2Codec:
    """Reads the requests and writes the responses of one server-side connection.

    `max_streams` is how many requests a client may have in progress; more are refused so that it can repeat
    them (REFUSED_STREAM).
    """

    def __init__(self, limits: Http1Limits, *, max_streams: int) -> None:
        self._limits = limits
        self._max_streams = max_streams
        # Sections up to twice the limit are read, to be refused with an honest status; more is an attack.
        longest = 2 * (limits.max_head_bytes + _FIELD_OVERHEAD_BYTES * limits.max_headers)
        self.guard = Guard(max_streams, longest)
        self.streams: dict[int, StreamCodec] = {}
        """The streams that are not over, by their number."""
        self.frames = 0
        """How many have come."""
        self._sending: dict[int, StreamCodec] = {}  # have something to send, and perhaps room
        self._blocked: dict[int, StreamCodec] = {}  # have none
        self._received_bytes = 0  # of bodies, which the client was not told yet
        self._last_id = 0
        self._final_id = _LAST_ID
        self._failed = False
        self._preface = PREFACE
        self._settled = False  # whether the client's first frame was there, its settings
        self._splitter = FrameSplitter(self._check)
        self._output = bytearray()
        self._h2 = _Connection(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                # Both is done here, where a bad field costs its stream and not all of them.
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: max_streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_head_bytes,
            },
        )
        self._h2.initiate_connection()
        # Of these h2 makes connection errors: it is not to see them before the stream is refused here.
        self._h2.local_settings.max_concurrent_streams = 2 * max_streams + 100
        self._h2.local_settings.acknowledge()
        self._h2.decoder.max_header_list_size = longest
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW_BYTES - _WINDOW_BYTES)

    # Reading

    @property
    def inside_head(self) -> bool:
        """Whether something has begun that should be complete soon: all frames but those of bodies."""
        return not self._settled or self._splitter.inside or self.guard.in_block

    def feed(self, data: bytes) -> list[Http2Event]:
        """Take bytes as they come and return what they complete."""
        events: list[Http2Event] = []
        if self._failed:
            return events
        try:
            if self._preface:
                data = self._read_preface(data)
            self._splitter.feed(data)
            while (found := self._splitter.next()) is not None:
                header, frame = found
                self.frames += 1
                if header.type != FrameType.GOAWAY:  # it opens no more streams: those that are open go on
                    self._read(frame, events)
        except ExcessError as error:
            self._fail(error.code, error.reason, events)
            self._h2.close_connection(error.code, error.reason.encode())
        except NoSuchStreamError as error:
            self._fail(error.error_code, f"a frame of stream {error.stream_id}, which is not open", events)
        except ProtocolError as error:
            self._fail(error.error_code, str(error), events)
        return events

    def tick(self) -> None:
        """Note that time goes by: call it every quarter of a second."""
        self.guard.tick()

    def consumed(self, stream: StreamCodec, size: int) -> bool:
        """Note that so much of a request's body was read; returns whether the client is told so next."""
        stream.consumed_bytes += size
        if stream.consumed_bytes < _UPDATE_BYTES or stream.request_complete or stream.gone:
            return False
        self._h2.increment_flow_control_window(stream.consumed_bytes, stream.id)
        stream.consumed_bytes = 0
        return True

    def _read_preface(self, data: bytes) -> bytes:
        """Compare what comes first with what must; returns what follows."""
        size = min(len(data), len(self._preface))
        if data[:size] != self._preface[:size]:
            raise ExcessError("the connection does not begin as HTTP/2 does", ErrorCodes.PROTOCOL_ERROR)
        self._h2.receive_data(data[:size])
        self._preface = self._preface[size:]
        return data[size:]

    def _check(self, header: FrameHeader) -> None:
        """Decide by its header whether to read a frame."""
        if not self._settled:
            if header.type != FrameType.SETTINGS or header.flags & _ACK:
                raise ExcessError("the first frame is no SETTINGS", ErrorCodes.PROTOCOL_ERROR)
            self._settled = True
        if header.length > MAX_FRAME_BYTES:
            raise ExcessError(f"a frame is longer than {MAX_FRAME_BYTES} bytes", ErrorCodes.FRAME_SIZE_ERROR)
        self.guard.frame(header)
        over = header.stream_id not in self.streams
        if over and (
            header.type == FrameType.DATA
            or (header.type == FrameType.HEADERS and header.stream_id <= self._h2.highest_inbound_stream_id)
        ):
            self.guard.idle_frame("of a stream that is over")

    def _read(self, frame: bytes, events: list[Http2Event]) -> None:
        for event in self._h2.receive_data(frame):
            self._act(event, events)

    def _act(self, event: Event, events: list[Http2Event]) -> None:
        """Make our event of one of h2's."""
        if isinstance(event, RequestReceived):
            self._begin(event.stream_id, event.headers, events, ended=event.stream_ended is not None)
        elif isinstance(event, DataReceived):
            self._take_data(event, events)
        elif isinstance(event, TrailersReceived):
            self._take_trailers(event.stream_id, event.headers, events)
        elif isinstance(event, StreamReset) and event.stream_id in self.streams:
            self.guard.reset("reset by the client")
            self._forget(self.streams[event.stream_id])
            events.append(Reset(event.stream_id))
        elif isinstance(event, WindowUpdated) and event.stream_id:
            if event.stream_id in self._blocked:
                self._sending[event.stream_id] = self._blocked.pop(event.stream_id)
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            # The client allows as large a table as it likes, for which the memory would be ours.
            encoder = self._h2.encoder
            encoder.header_table_size = min(encoder.header_table_size, _TABLE_BYTES)
            self._sending |= self._blocked
            self._blocked.clear()
        elif isinstance(event, PingAckReceived) and event.ping_data == _PING:
            events.append(Quiet())

    def _begin(self, stream_id: int, section: RawFields, events: list[Http2Event], *, ended: bool) -> None:
        if len(self.streams) >= self._max_streams or stream_id > self._final_id:
            self.guard.reset("refused, being too many at a time or too late")
            self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        self._last_id = stream_id
        try:
            head = read_head(section, self._limits, ended=ended)
        except RefusedError as error:
            stream = StreamCodec(stream_id, "GET")
            self._refuse(stream, error)
            events.append(Began(stream, Refused(error.status, error.reason)))
        else:
            stream = StreamCodec(stream_id, head.method)
            events.append(Began(stream, head))
        stream.request_complete = ended
        self.streams[stream_id] = stream

    def _take_data(self, event: DataReceived, events: list[Http2Event]) -> None:
        length = event.flow_controlled_length
        self._received_bytes += length
        if self._received_bytes >= _UPDATE_BYTES:
            self._h2.increment_flow_control_window(self._received_bytes)
            self._received_bytes = 0
        stream = self.streams[event.stream_id]
        ended = event.stream_ended is not None
        if not event.data and not ended:
            self.guard.idle_frame("DATA without data")
        if stream.body_bytes > self._limits.max_body_bytes:
            return
        stream.request_complete = ended
        self.consumed(stream, length - len(event.data))  # padding
        stream.body_bytes += len(event.data)
        if stream.body_bytes > self._limits.max_body_bytes:
            reason = f"the body is longer than {self._limits.max_body_bytes} bytes"
            events.append(StreamEvent(event.stream_id, Refused(413, reason)))
            return
        if event.data:
            events.append(StreamEvent(event.stream_id, Data(event.data)))
        if ended:
            events.append(StreamEvent(event.stream_id, End()))

    def _take_trailers(self, stream_id: int, section: RawFields, events: list[Http2Event]) -> None:
        stream = self.streams[stream_id]
        stream.request_complete = True
        try:
            events.append(StreamEvent(stream_id, End(read_trailers(section, self._limits))))
        except RefusedError as error:
            self._refuse(stream, error)
            events.append(StreamEvent(stream_id, Refused(error.status, error.reason)))

    def _refuse(self, stream: StreamCodec, error: RefusedError) -> None:
        """Have a malformed request end as RFC 9113, 8.1.1 wants it, after the response."""
        if isinstance(error, MalformedError):
            self.guard.reset("malformed requests")
            stream.reset_code = ErrorCodes.PROTOCOL_ERROR

    def _fail(self, code: ErrorCodes | int, reason: str, events: list[Http2Event]) -> None:
        self._failed = True
        for stream in list(self.streams.values()):
            self._forget(stream)
            events.append(Reset(stream.id))
        name = code.name if isinstance(code, ErrorCodes) else str(code)
        events.append(Failed(name, reason))

    # Writing

    def commit(self, stream: StreamCodec) -> None:
        """Take what a stream has rendered: its sections are sent next, its body as there is room."""
        if stream.gone:
            return
        for section in stream.interim:
            self._h2.send_headers(stream.id, section)
        stream.interim.clear()
        if stream.section is not None:
            section, stream.section = stream.section, None
            bodiless = stream.ended and not stream.queued_bytes and stream.trailers is None
            self._h2.send_headers(stream.id, section, end_stream=bodiless and stream.reset_code is None)
            if bodiless:
                self._finish(stream)
                return
        if (stream.queued_bytes or stream.ended) and stream.id not in self._blocked:
            self._sending[stream.id] = stream

    def take_output(self, room: int) -> bytes:
        """Return what is to be sent: all control frames and heads, and about `room` bytes of bodies."""
        while room > 0 and self._sending:
            stream_id = next(iter(self._sending))
            stream = self._sending.pop(stream_id)
            room -= self._send_piece(stream)
        self._output += self._h2.data_to_send()
        data = bytes(self._output)
        self._output.clear()
        return data

    def reset(self, stream: StreamCodec, code: ErrorCodes = ErrorCodes.INTERNAL_ERROR) -> None:
        """End a stream before its response is complete."""
        if not stream.gone:
            self._h2.reset_stream(stream.id, code)
            self._forget(stream)

    def announce_end(self) -> None:
        """Ask the client to open no more streams; those that it opens before it hears of it are served.

        Its answer is the event Quiet.
        """
        if not self._failed:
            self._go_away(_LAST_ID)
            self._h2.ping(_PING)

    def end(self) -> None:
        """Refuse what is opened from here on, and say so: the client is to repeat it elsewhere."""
        if not self._failed and self._final_id == _LAST_ID:
            self._final_id = self._last_id
            self._go_away(self._last_id)

    def _go_away(self, last_id: int) -> None:
        # Not by h2, which sends nothing after it.
        frame = GoAwayFrame(0, last_stream_id=last_id, error_code=ErrorCodes.NO_ERROR)
        self._output += frame.serialize()

    def _send_piece(self, stream: StreamCodec) -> int:
        """Send a frame of a stream's body and what can follow it; returns the bytes of the body."""
        size = min(self._h2.local_flow_control_window(stream.id), MAX_FRAME_BYTES, stream.queued_bytes)
        if size <= 0 < stream.queued_bytes:
            self._blocked[stream.id] = stream
            return 0
        data = stream.take(size)
        complete = stream.ended and not stream.queued_bytes
        plain = complete and stream.trailers is None and stream.reset_code is None
        if data or plain:
            self._h2.send_data(stream.id, data, end_stream=plain)
            if complete or len(data) >= _WHOLE_PIECE_BYTES:  # not for a window that is opened byte by byte
                self.guard.sent_piece()
        if stream.queued_bytes:
            self._sending[stream.id] = stream
        elif complete:
            if stream.trailers is not None:
                self._h2.send_headers(stream.id, stream.trailers, end_stream=True)
            self._finish(stream)
        return len(data)

    def _finish(self, stream: StreamCodec) -> None:
        """Take note that a response was sent to its end; who still sends a request is told to stop."""
        if stream.reset_code is not None:
            self._h2.reset_stream(stream.id, stream.reset_code)
        elif not stream.request_complete:
            self._h2.reset_stream(stream.id, ErrorCodes.NO_ERROR)
        else:
            self.guard.answered()
        self._forget(stream)

    def _forget(self, stream: StreamCodec) -> None:
        stream.discard()
        self.streams.pop(stream.id, None)
        self._sending.pop(stream.id, None)
        self._blocked.pop(stream.id, None)
