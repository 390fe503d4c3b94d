"""Files as response bodies: which bytes of which file, and under which name a client keeps them."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

__all__ = ["FileBody", "content_disposition", "file_pieces"]

_PIECE_BYTES = 256 << 10
# attr-char of RFC 8187, 3.2.1, beside letters and digits
_ATTR_SAFE = "!#$&+-.^_`|~"


@dataclasses.dataclass(frozen=True, slots=True)
class FileBody:
    """`length` bytes of the file at `path`, from `offset` on; the whole file has `size` bytes."""

    path: Path
    offset: int
    length: int
    size: int
    mtime_ns: int
    """When the file was last changed, in nanoseconds since the epoch."""

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> FileBody:
        """Describe the whole file at `path`.

        Raises FileNotFoundError, PermissionError or another OSError where it cannot be looked at, and
        IsADirectoryError or OSError where it is no regular file.
        """
        path = Path(path)
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise IsADirectoryError(f"{path} is a directory, a file is needed to send it")
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"{path} is no regular file, its length is not known: stream it instead")
        return cls(path, 0, facts.st_size, facts.st_size, facts.st_mtime_ns)

    @property
    def mtime(self) -> float:
        """When the file was last changed, in seconds since the epoch."""
        return self.mtime_ns / 1e9


def content_disposition(name: str, disposition: str = "attachment") -> str:
    """Render a Content-Disposition that has a client keep the body as file `name` (RFC 6266).

    A name outside ASCII goes into `filename*` (RFC 8187), beside a `filename` for old clients with _ in the
    place of what they cannot read. Raises ValueError for an empty name and one with control characters or
    path separators.
    """
    if not name or not name.isprintable() or "/" in name or "\\" in name or name in {".", ".."}:
        raise ValueError(f"{name!r} is no name for a download: no control characters, no / and no \\")
    fallback = "".join(char if char.isascii() and char not in '"%' else "_" for char in name)
    if fallback == name:
        return f'{disposition}; filename="{name}"'
    extended = quote(name.encode("utf-8", "replace"), safe=_ATTR_SAFE)
    return f"{disposition}; filename=\"{fallback}\"; filename*=UTF-8''{extended}"


async def file_pieces(body: FileBody) -> AsyncIterator[bytes]:
    """Read a file in a thread, piece by piece: a disk may be slow, and a loop must not wait for it."""
    file = await asyncio.to_thread(body.path.open, "rb")
    try:
        file.seek(body.offset)
        left = body.length
        while left and (piece := await asyncio.to_thread(file.read, min(left, _PIECE_BYTES))):
            left -= len(piece)
            yield piece
    finally:
        file.close()
