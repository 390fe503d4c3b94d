"""A client by HTTP/2 without a socket: on the `h2` library, with raw frames for what it would not send."""

from __future__ import annotations

import dataclasses

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

__all__ = ["Answer", "Peer", "header_block"]

Fields = list[tuple[bytes, bytes]]


@dataclasses.dataclass
class Answer:
    """What has come on a stream."""

    status: int = 0
    fields: Fields = dataclasses.field(default_factory=list)
    body: bytes = b""
    interim: list[Fields] = dataclasses.field(default_factory=list)
    trailers: Fields = dataclasses.field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    """The error code that it was reset with."""

    def field(self, name: bytes) -> bytes | None:
        return dict(self.fields).get(name)


class Peer:
    """Speaks to a server; `out` is what to send to it, and `receive` takes what it answers.

    With `window` the client has that much room for each body; otherwise it always makes more.
    """

    def __init__(self, *, window: int | None = None) -> None:
        config = H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = H2Connection(config)
        self.makes_room = window is None
        if window is not None:
            self.h2.local_settings = Settings(initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.answers: dict[int, Answer] = {}
        self.events: list[Event] = []
        self.goaways: list[GoAwayFrame] = []
        self._next_id = 1
        self._raw = b""
        self._unread = b""

    def out(self) -> bytes:
        """Return what is to be sent."""
        raw, self._raw = self._raw, b""
        return self.h2.data_to_send() + raw

    def request(
        self,
        path: str = "/",
        *fields: tuple[str, str],
        method: str = "GET",
        body: bytes | None = None,
        end: bool = True,
        authority: str = "test",
    ) -> int:
        """Open a stream, and send a body and its end where they are wanted; returns the stream's number."""
        head = [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority), *fields]
        return self.section(head, body=body, end=end)

    def section(self, head: list[tuple[str, str]], *, body: bytes | None = None, end: bool = True) -> int:
        """Open a stream with a header section that is sent as it is."""
        stream_id = self._next_id
        self._next_id += 2
        self.answers[stream_id] = Answer()
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head]
        self.h2.send_headers(stream_id, fields, end_stream=body is None and end)
        if body is not None:
            self.data(stream_id, body, end=end)
        return stream_id

    def data(self, stream_id: int, body: bytes, *, end: bool = False) -> None:
        """Send a piece of a body, which there has to be room for."""
        while len(body) > 16384:
            self.h2.send_data(stream_id, body[:16384])
            body = body[16384:]
        self.h2.send_data(stream_id, body, end_stream=end)

    def raw(self, *frames: Frame | bytes) -> None:
        """Send frames as they are, after all that was to be sent before."""
        self._raw += self.h2.data_to_send()
        for frame in frames:
            self._raw += frame if isinstance(frame, bytes) else frame.serialize()

    def receive(self, data: bytes) -> None:
        """Take what the server has sent, in pieces of any size."""
        self._unread += data
        while len(self._unread) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._unread[:9]))
            if len(self._unread) < 9 + length:
                return
            whole, self._unread = self._unread[: 9 + length], self._unread[9 + length :]
            if isinstance(frame, GoAwayFrame):  # after which the library takes nothing more
                frame.parse_body(memoryview(whole[9:]))
                self.goaways.append(frame)
                continue
            for event in self.h2.receive_data(whole):
                self._take(event)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, ResponseReceived):
            answer = self.answers[event.stream_id]
            answer.fields = list(event.headers)
            answer.status = int(dict(answer.fields)[b":status"])
        elif isinstance(event, InformationalResponseReceived):
            self.answers[event.stream_id].interim.append(list(event.headers))
        elif isinstance(event, DataReceived):
            self.answers[event.stream_id].body += event.data
            if self.makes_room and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            self.answers[event.stream_id].trailers = list(event.headers)
        elif isinstance(event, StreamEnded):
            self.answers[event.stream_id].ended = True
        elif isinstance(event, StreamReset):
            self.answers[event.stream_id].reset = int(event.error_code)


def header_block(peer: Peer, *fields: tuple[bytes, bytes]) -> bytes:
    """Compress a header section of a request, with `fields` at its end."""
    head = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"test"), *fields]
    return peer.h2.encoder.encode(head)
