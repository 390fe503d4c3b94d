"""The streams of a WSGI environment: where an application writes its errors, and how it sends a file."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Protocol

from pierhead.messages.request import Request

__all__ = ["ErrorStream", "FileWrapper"]

logger = logging.getLogger("pierhead.app")

_BLOCK_BYTES = 256 << 10
_LONGEST_LINE = 64 << 10


class ErrorStream:
    """`wsgi.errors`: what is written there becomes lines of the log."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._pending = ""

    def write(self, text: str) -> int:
        """Log the lines that `text` completes."""
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._log(line)
        if len(self._pending) > _LONGEST_LINE:
            self.flush()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log what is no whole line yet."""
        line, self._pending = self._pending, ""
        self._log(line)

    def _log(self, line: str) -> None:
        if line.strip():
            logger.error("[%s] %s", self._request.id, line)


class _File(Protocol):
    def read(self, size: int, /) -> bytes: ...


class FileWrapper:
    """`wsgi.file_wrapper`: iterates a file in blocks of a size that suits the server, and closes it."""

    def __init__(self, file: _File, block_bytes: int = _BLOCK_BYTES) -> None:
        self._file = file
        self._block_bytes = block_bytes
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self._file.read(self._block_bytes):
            yield block
