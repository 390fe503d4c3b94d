"""Upload: a file that came with a form, in memory while it is small, else in a temporary file."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import re
import secrets
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pierhead.errors import HTTPError
from pierhead.messages.media import MediaType

__all__ = ["Upload", "UploadWriter", "safe_filename"]

_MAX_NAME_BYTES = 200
_COPY_BYTES = 256 << 10
_UNSAFE = re.compile(r"[^\w.()\-]+")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)", re.IGNORECASE)


def safe_filename(name: str) -> str:
    """Turn a name that a client sent into one that is a plain file name on every system.

    Directories, leading dots, control and special characters are taken away and the length is bounded at 200
    bytes, with the extension kept; what has nothing left is "upload". It says nothing about whether a file of
    that name exists.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    name = _UNSAFE.sub("_", name).strip("._")
    if _RESERVED.match(name):
        name = "_" + name
    stem, dot, extension = name.rpartition(".")
    if dot and len(extension.encode()) < 20:
        room = _MAX_NAME_BYTES - len(extension.encode()) - 1
        name = stem.encode()[:room].decode(errors="ignore") + dot + extension
    else:
        name = name.encode()[:_MAX_NAME_BYTES].decode(errors="ignore")
    return name or "upload"


@contextlib.contextmanager
def _space_needed() -> Iterator[None]:
    """Turn the error of a full disk into an honest answer."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise HTTPError(507, "there is no space left to keep the uploaded file") from error
        raise


class Upload:
    """A file of a form. `filename` is what the client called it: never use that as a path (`safe_filename`).

    It is closed, and gone, when its request ends: what should stay is saved before.
    """

    __slots__ = ("content_type", "file", "filename", "in_memory", "name", "size")

    def __init__(
        self,
        name: str,
        filename: str,
        content_type: MediaType,
        file: BinaryIO,
        size: int,
        *,
        in_memory: bool = True,
    ) -> None:
        self.name = name
        """The name of the form's field."""
        self.filename = filename
        self.content_type = content_type
        self.file = file
        """The content as an open file, at its beginning; for handlers that run in a thread."""
        self.size = size
        """In bytes."""
        self.in_memory = in_memory
        """Whether the content is in memory, not in a temporary file."""

    @property
    def safe_filename(self) -> str:
        """`filename` as a plain file name, "upload" where nothing is left of it."""
        return safe_filename(self.filename)

    async def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, or all that are left; b"" at the end."""
        if self.in_memory:
            return self.file.read(size)
        return await asyncio.to_thread(self.file.read, size)

    async def seek(self, position: int) -> None:
        """Read on from byte `position`."""
        if self.in_memory:
            self.file.seek(position)
        else:
            await asyncio.to_thread(self.file.seek, position)

    async def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole content to a file at `path`, in the place of one that is there.

        The file appears complete or not at all. Raises HTTPError 507 when there is no space for it and
        OSError for what else prevents it.
        """
        await asyncio.to_thread(self.write_to, path)

    def write_to(self, path: str | os.PathLike[str]) -> None:
        """Do what `save` does, for handlers that run in a thread."""
        target = Path(path)
        draft = target.with_name(f".{secrets.token_hex(8)}.part")
        position = self.file.tell()
        with _space_needed():
            try:
                with draft.open("xb") as copy:
                    self.file.seek(0)
                    shutil.copyfileobj(self.file, copy, _COPY_BYTES)
                draft.replace(target)
            finally:
                draft.unlink(missing_ok=True)
                self.file.seek(position)

    def close(self) -> None:
        """Close the file; a temporary one is gone then."""
        with contextlib.suppress(OSError):  # what a full disk does not take is not wanted any more
            self.file.close()

    def __repr__(self) -> str:
        return f"<Upload {self.name!r} {self.filename!r} {self.size} bytes>"


class UploadWriter:
    """Takes the content of a file piece by piece; past `max_memory_bytes` it goes to a temporary file.

    Pieces are gathered, so that a file of many small ones costs few visits to a thread.
    """

    def __init__(
        self, name: str, filename: str, content_type: MediaType, max_memory_bytes: int, spool_dir: str | None
    ) -> None:
        self.name = name
        self.filename = filename
        self.size = 0
        self._content_type = content_type
        self._max_memory_bytes = max_memory_bytes
        self._spool_dir = spool_dir
        self._pieces: list[bytes] = []
        self._pending_bytes = 0
        self._file: BinaryIO | None = None
        self._closed = False
        self._lock = threading.Lock()  # a cancelled writer is closed while its thread still writes

    async def write(self, data: bytes) -> None:
        """Append a piece; raises HTTPError 507 when there is no space for it."""
        self.size += len(data)
        self._pieces.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > self._max_memory_bytes:
            await self._flush()

    async def finish(self) -> Upload:
        """Return the whole file, at its beginning; raises as `write`."""
        if self._file is None:
            file: BinaryIO = io.BytesIO(b"".join(self._pieces))
            return Upload(self.name, self.filename, self._content_type, file, self.size)
        if self._pieces:
            await self._flush()
        return Upload(self.name, self.filename, self._content_type, self._file, self.size, in_memory=False)

    def close(self) -> None:
        """Drop what was written."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                with contextlib.suppress(OSError):
                    self._file.close()

    async def _flush(self) -> None:
        pieces, self._pieces, self._pending_bytes = self._pieces, [], 0
        await asyncio.to_thread(self._spool, pieces)

    def _spool(self, pieces: list[bytes]) -> None:
        with self._lock, _space_needed():
            if self._closed:
                return
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._spool_dir)  # noqa: SIM115 - closed by `close`
            self._file.seek(0, os.SEEK_END)
            self._file.writelines(pieces)
            self._file.seek(0)  # writes what is buffered: a full disk shows here
