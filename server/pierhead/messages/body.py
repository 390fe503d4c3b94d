"""What a request needs of the protocol that delivers its body, and the limits on holding it."""

from __future__ import annotations

import dataclasses
from typing import BinaryIO, Protocol

from pierhead.messages.headers import Headers

__all__ = ["BodyLimits", "BodyReader", "SpooledBody"]

_PIECE_BYTES = 256 << 10


class BodyReader(Protocol):
    """Delivers a request body piece by piece; implemented by the transports."""

    @property
    def trailers(self) -> Headers:
        """The trailer fields; complete once `read` has returned b"" (RFC 9110, 6.5)."""
        ...

    async def read(self) -> bytes:
        """Return the next piece of the body, b"" at its end.

        Raises ClientDisconnected when the client went away, HTTPError 413 when the body is too large,
        408 when it stopped coming and 400 when its framing is invalid.
        """
        ...


class SpooledBody:
    """Implements BodyReader on an open file that has the whole body."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.trailers = Headers()

    async def read(self) -> bytes:
        """Return the next piece, b"" at the end; see BodyReader."""
        return self.file.read(_PIECE_BYTES)


@dataclasses.dataclass(frozen=True, slots=True)
class BodyLimits:
    """How much of a body a request may hold in memory or in files."""

    max_buffered_body_bytes: int = 8 << 20
    """The largest body that `body()`, `text()` and `json()` collect in memory."""
    max_spool_memory_bytes: int = 64 << 10
    """An uploaded file longer than this is kept in a file, not in memory."""
    max_form_fields: int = 1000
    """The largest number of fields and files in a form."""
    max_form_files: int = 100
    """The largest number of files among them; each may need an open file."""
    max_form_memory_bytes: int = 1 << 20
    """The most that all fields of a form without its files may occupy."""
    spool_dir: str | None = None
    """Where uploaded files are spooled; None is the system's directory for temporary files."""
