"""What `pierhead request` needs beside the request: uploads, kept cookies, the request as it was seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pierhead.errors import ConfigError

if TYPE_CHECKING:
    from pierhead.interfaces.base import Application
    from pierhead.messages.request import Request
    from pierhead.messages.response import Response
    from pierhead.messages.websocket import WebSocket
    from pierhead.testing import CookieJar

__all__ = ["Seen", "read_jar", "read_upload", "write_jar"]


def read_upload(text: str) -> tuple[str, tuple[str, bytes, str]]:
    """Turn `name=@file` into a field, a file's name, its content and its media type; raises ConfigError."""
    from pierhead.messages.media import guess_content_type

    name, _, file = text.partition("=@")
    if not name or not file:
        raise ConfigError(f"--upload {text!r} is not understood: write --upload name=@file")
    path = Path(file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--upload {text}: {path} cannot be read: {error.strerror}") from None
    return name, (path.name, content, guess_content_type(path.name))


def read_jar(file: str) -> CookieJar:
    """Return the cookies kept in `file`, none where there is no such file; raises ConfigError."""
    from pierhead.testing import CookieJar

    try:
        return CookieJar.load(json.loads(Path(file).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return CookieJar()
    except OSError as error:
        raise ConfigError(f"--session {file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"--session {file} is no file of cookies: name another one, or delete it") from None


def write_jar(file: str, jar: CookieJar) -> None:
    """Keep the cookies in `file`, which nobody else may read; raises ConfigError."""
    path = Path(file)
    try:
        path.touch(mode=0o600)
        path.write_text(json.dumps(jar.dump(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--session {file} cannot be written: {error.strerror}") from None


class Seen:
    """Fulfils Application by another one, and describes the request that it had."""

    def __init__(self, application: Application) -> None:
        self.dumped = "(the server answered by itself)"
        self._application = application
        self.name = application.name
        self.start_master = application.start_master
        self.stop_master = application.stop_master
        self.start = application.start
        self.stop = application.stop

    async def respond(self, request: Request) -> Response | None:
        """Have the application answer, then look at the request: what was made of it is there as well."""
        try:
            return await self._application.respond(request)
        finally:
            self.dumped = request.dump()

    async def converse(self, socket: WebSocket) -> None:
        """Have the application converse."""
        await self._application.converse(socket)
