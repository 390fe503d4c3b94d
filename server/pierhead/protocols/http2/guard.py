"""What an HTTP/2 client may ask for nothing: how many frames that cost us work and bring no request.

HTTP/2 has much that a client can send for ever and that must be answered or kept in mind: pings, settings,
streams that are opened and reset at once (CVE-2023-44487), header sections that never end. Each such frame
takes from a budget, which time and real requests fill up again; when there is none left the connection ends
with ENHANCE_YOUR_CALM. There is no clock here: `tick` is called a few times a second.
"""

from __future__ import annotations

from h2.errors import ErrorCodes

from pierhead.protocols.http2.frames import FrameHeader, FrameType

__all__ = ["ExcessError", "Guard"]

_MOST_IDLE_FRAMES = 1000
_IDLE_FRAMES_A_TICK = 125
_IDLE_FRAMES_A_PIECE = 4  # a client may answer each frame of a body with a WINDOW_UPDATE or two
_LEAST_RESETS = 200
_RESETS_A_TICK = 5
_MOST_CONTINUATIONS = 32
_END_HEADERS = 0x4
_CHEAP = {FrameType.DATA, FrameType.HEADERS, FrameType.RST_STREAM}  # are counted by what becomes of them


class ExcessError(Exception):
    """The client asks too much, or sends what nobody may; `code` is why the connection ends."""

    def __init__(self, reason: str, code: ErrorCodes = ErrorCodes.ENHANCE_YOUR_CALM) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Guard:
    """Counts what one client sends; each method but those that fill up raises ExcessError.

    `max_streams` is how many streams may be open at a time, `max_block_bytes` how long a header section may
    be as it is sent, compressed.
    """

    def __init__(self, max_streams: int, max_block_bytes: int) -> None:
        self._most_resets = max(_LEAST_RESETS, 2 * max_streams)
        self._resets = self._most_resets
        self._idle_frames = _MOST_IDLE_FRAMES
        self._max_block_bytes = max_block_bytes
        self._block_bytes = 0
        self._block_frames = 0
        self.in_block = False
        """Whether a header section has begun that is not complete."""

    def tick(self) -> None:
        """Fill up, as time goes by: every quarter of a second."""
        self._resets = min(self._resets + _RESETS_A_TICK, self._most_resets)
        self._idle_frames = min(self._idle_frames + _IDLE_FRAMES_A_TICK, _MOST_IDLE_FRAMES)

    def answered(self) -> None:
        """Fill up for a request that was answered to its end."""
        self._resets = min(self._resets + 1, self._most_resets)

    def sent_piece(self) -> None:
        """Fill up for a frame of a body that was sent."""
        self._idle_frames = min(self._idle_frames + _IDLE_FRAMES_A_PIECE, _MOST_IDLE_FRAMES)

    def frame(self, frame: FrameHeader) -> None:
        """Look at a frame, once its header is there and before it is read."""
        if frame.type in {FrameType.HEADERS, FrameType.CONTINUATION}:
            if frame.type == FrameType.HEADERS:
                self._block_bytes = self._block_frames = 0
            self.in_block = not frame.flags & _END_HEADERS
            self._block_bytes += frame.length
            self._block_frames += 1
            if self._block_bytes > self._max_block_bytes:
                raise ExcessError(f"a header section is longer than {self._max_block_bytes} bytes")
            if self._block_frames > _MOST_CONTINUATIONS:
                raise ExcessError(f"a header section is in more than {_MOST_CONTINUATIONS} frames")
        if frame.type not in _CHEAP:
            self.idle_frame(_NAMES.get(frame.type, "unknown"))

    def idle_frame(self, kind: str) -> None:
        """Count a frame that brings nothing."""
        self._idle_frames -= 1
        if self._idle_frames < 0:
            raise ExcessError(f"too many frames that bring nothing, the last of them {kind}")

    def reset(self, what: str) -> None:
        """Count a stream that was opened for nothing."""
        self._resets -= 1
        if self._resets < 0:
            raise ExcessError(f"too many streams that come to nothing: {what}")


_NAMES = {kind.value: kind.name for kind in FrameType}
