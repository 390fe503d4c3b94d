"""The control channel between two processes: JSON objects, one a line, over a socket pair.

Its end says that the other process is gone, however it went.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections import deque
from typing import Any

__all__ = ["Channel"]

_LONGEST_BYTES = 64 << 20
_MOST_FILES = 16


class Channel:
    """One end of a control channel."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._buffer = b""
        self._ahead: list[dict[str, Any]] = []
        self._files: deque[int] = deque()

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return both ends of a new channel."""
        one, other = socket.socketpair()
        return cls(one), cls(other)

    @classmethod
    def from_fd(cls, fd: int) -> Channel:
        """Take over an inherited end."""
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._socket.fileno()

    @property
    def waiting(self) -> bool:
        """Whether messages came with the one that `receive_one` returned: no selector tells of them."""
        return bool(self._ahead)

    def send(self, file: int | None = None, /, **message: Any) -> None:
        """Send a message, with a copy of a descriptor; does nothing where the other process is gone."""
        data = json.dumps(message).encode() + b"\n"
        with contextlib.suppress(OSError):
            if file is not None:
                data = data[socket.send_fds(self._socket, [data], [file]) :]
            self._socket.sendall(data)

    def take_file(self) -> int:
        """Return the descriptor that came with a message that has one; it is the caller's to close."""
        return self._files.popleft()

    def receive(self) -> list[dict[str, Any]] | None:
        """Return the whole messages that have come, at least by waiting for bytes; None at the end.

        Raises ValueError for what is no message.
        """
        if self._ahead:
            messages, self._ahead = self._ahead, []
            return messages
        try:
            data, files, _, _ = socket.recv_fds(self._socket, 65536, _MOST_FILES)
            self._files += files
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        messages = [json.loads(line) for line in lines]
        if len(self._buffer) > _LONGEST_BYTES or not all(isinstance(message, dict) for message in messages):
            raise ValueError("not a message of a control channel")
        return messages

    def receive_one(self) -> dict[str, Any] | None:
        """Wait for one message; None at the end."""
        while (messages := self.receive()) is not None:
            if messages:
                first, *self._ahead = messages
                return first
        return None

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
