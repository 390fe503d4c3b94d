"""What must hold for any bytes that are sent to the WebSocket codec; `check` is the fuzz target.

- Nothing but messages, pongs and an end comes of them.
- The split of the bytes does not matter.
- What is read is what wsproto reads; only a message that is too long ends earlier here.
"""

from __future__ import annotations

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.events import Pong as PongFrame

from pierhead.protocols.websocket import Closed, Message, WebSocketCodec, WebSocketEvent
from pierhead.protocols.websocket.deflate import negotiate

__all__ = ["check"]

MOST_BYTES = 2000


def check(data: bytes, cut: int = 0, *, compressed: bool = False) -> list[WebSocketEvent]:
    """Raise AssertionError, or whatever the codec raises, where something does not hold for these bytes."""
    events, output = _read([data], compressed=compressed)
    pieces, its_output = _read([data[:cut], data[cut:]], compressed=compressed)
    if compressed and events and isinstance(events[-1], Closed) and not events[-1].by_peer:
        # Of several faults in one frame the first to be decompressed is found first.
        assert isinstance(pieces[-1], Closed)
        assert not pieces[-1].by_peer
        assert pieces[:-1] == events[:-1], "the split matters"
    else:
        assert (pieces, its_output) == (events, output), "the split matters"
    assert all(not isinstance(event, Closed) for event in events[:-1]), "something follows the end"
    last = events[-1] if events else None
    # wsproto has no limits, and does not know 1014, which was registered later.
    if not compressed and not (isinstance(last, Closed) and last.code in {1009, 1014}):
        assert [_plain(event) for event in events] == _judge(data)
    return events


def _read(pieces: list[bytes], *, compressed: bool) -> tuple[list[WebSocketEvent], bytes]:
    deflate, _ = negotiate([b"permessage-deflate"] if compressed else [])
    codec = WebSocketCodec(MOST_BYTES, deflate, max_fragments=50)
    events = [event for piece in pieces for event in codec.feed(piece)]
    return events, codec.take_output() + codec.finish()


def _plain(event: WebSocketEvent) -> object:
    """Reduce an event to what can be compared with wsproto's."""
    if isinstance(event, Closed):
        return event.code
    return event.data if isinstance(event, Message) else ("pong", event.payload)


def _judge(data: bytes) -> list[object]:
    """Return what wsproto makes of the bytes."""
    connection = Connection(ConnectionType.SERVER)
    connection.receive_data(data)
    found: list[object] = []
    parts: list[str | bytes | bytearray] = []
    for event in connection.events():
        if isinstance(event, TextMessage | BytesMessage):
            parts.append(event.data)
            if event.message_finished:
                text = isinstance(event, TextMessage)
                found.append("".join(map(str, parts)) if text else b"".join(map(bytes, parts)))  # type: ignore[arg-type]
                parts.clear()
        elif isinstance(event, PongFrame):
            found.append(("pong", bytes(event.payload)))
        elif isinstance(event, CloseConnection):
            found.append(int(event.code))
        else:
            assert isinstance(event, Ping)
    return found
