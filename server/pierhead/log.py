r"""The server's own log, on standard error: text for people, or a JSON object a line for programs.

    2026-11-21T08:41:21.123Z info     worker 2 [4711] pierhead.app: GET /user/1 [9f2c...] failed

It is Python's `logging`: what an application logs goes the same way. In text a message or traceback of
several lines is indented, so that no line of it can pass for a record of its own. In JSON what is given as
`extra` has fields of its own; the server gives what happened (`facts`), which docs/operations.md lists.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pierhead.config import Settings

__all__ = ["JsonFormatter", "TextFormatter", "configure", "facts", "is_torn"]

_OF_RECORDS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


def facts(event: str, **fields: Any) -> dict[str, Any]:
    """Return what happened, for programs, as the `extra` of a record: those fields that say something."""
    return {"event": event, **{name: value for name, value in fields.items() if value not in (None, "", [])}}


class TextFormatter(logging.Formatter):
    """A record as a line of text; `process` says whose it is."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        message = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", _whole_message(self, record))
        return (
            f"{_timestamp(record)} {record.levelname.lower():<8} {self._process} [{os.getpid()}] "
            f"{record.name}: " + message.replace("\n", "\n    ")
        )


class JsonFormatter(logging.Formatter):
    """A record as a JSON object; `process` says whose it is."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        fields = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": os.getpid(),
            "logger": record.name,
            "message": _whole_message(self, record),
        }
        more = {name: value for name, value in vars(record).items() if name not in _OF_RECORDS}
        if not more:
            return json.dumps(fields)
        try:
            return json.dumps(more | fields, default=str)
        except (TypeError, ValueError):  # what is logged is not lost for what JSON cannot have
            return json.dumps({name: str(value) for name, value in more.items()} | fields)


def is_torn(descriptor: int) -> bool:
    """Tell whether a file ends within a line, as a full disk leaves it; of other things nobody knows."""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            return False
        with Path(f"/proc/self/fd/{descriptor}").open("rb") as file:
            return os.pread(file.fileno(), 1, found.st_size - 1) != b"\n"
    except OSError:
        return False


def configure(settings: Settings, process: str = "master") -> None:
    """Send all records of this process to standard error, as `log_level` and `log_format` say.

    Called again, as in a process just forked, it replaces what it set before. What an application has set
    up for itself stays.
    """
    logging.raiseExceptions = False  # a full disk under standard error is no reason to fail a request
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _Handler):
            root.removeHandler(handler)
    handler = _Handler(sys.stderr)
    handler.setFormatter((JsonFormatter if settings.log_format == "json" else TextFormatter)(process))
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    logging.captureWarnings(capture=True)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Ours: to tell it from an application's own. What a full disk has torn stays a line of its own."""

    _failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, in one piece where the stream is a file or a pipe."""
        try:
            descriptor = self.stream.fileno()
        except (OSError, ValueError, AttributeError):  # somebody captures what is said
            super().emit(record)
            return
        try:
            line = self.format(record) + self.terminator
            self.flush()
            piece = line.encode(self.stream.encoding or "utf-8", "backslashreplace")
            if self._failed and is_torn(descriptor):
                piece = b"\n" + piece
            while piece:
                piece = piece[os.write(descriptor, piece) :]
            self._failed = False
        except Exception:  # noqa: BLE001 - as any handler: logging fails nobody
            self._failed = True
            self.handleError(record)


def _timestamp(record: logging.LogRecord) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{stamp}.{int(record.msecs):03d}Z"


def _whole_message(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception as error:  # noqa: BLE001 - an argument's own __str__ may raise anything
        # What is logged when something goes wrong is not lost for a mistake in how it is said.
        message = f"{record.msg!r} was logged with arguments that do not fit: {error!r}"
    message = message.rstrip("\n")
    if record.exc_info:
        message += "\n" + formatter.formatException(record.exc_info)
    if record.stack_info:
        message += "\n" + record.stack_info
    return message
