"""Static files: the files of one directory, and nothing outside it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pierhead.messages.headers import HeaderItems, Headers
from pierhead.messages.request import Request
from pierhead.messages.response import Response

__all__ = ["StaticFiles"]

logger = logging.getLogger("pierhead.app")


class StaticFiles:
    """A handler that answers with the files below `directory`, and with the index.html of a folder.

    Passed on, which ends as 404 where nobody else answers, are: what does not exist or cannot be read, names
    that begin with a dot, whatever is outside of the directory, also by way of a symbolic link, and what
    is no regular file. `headers` are added to each file's response. Raises ValueError where `directory` is
    none.
    """

    def __init__(self, directory: str | os.PathLike[str], headers: HeaderItems | None = None) -> None:
        self._directory = Path(directory).resolve()
        if not self._directory.is_dir():
            raise ValueError(f"there is no directory {self._directory} to serve files from; create it first")
        self._headers = Headers(headers or ())

    def __call__(self, request: Request, path: str = "") -> Response | None:
        """Answer with the file at `path`, relative to the directory, None where there is none to send."""
        if "%2f" in request.raw_path.lower():
            return None  # one file has one path, or what guards a path can be walked around
        try:
            return self._answer(request, path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:  # no permission, a name too long, a loop of links, no regular file
            logger.warning("%s [%s]: the file cannot be sent: %s", request.path, request.id, error)
            return None

    def _answer(self, request: Request, path: str) -> Response | None:
        names = path.split("/")
        folder = names[-1] == ""
        if folder:
            names.pop()
        if not all(_is_plain(name) for name in names):
            return None
        file = self._within(self._directory.joinpath(*names))
        if file.is_dir():
            if not request.raw_path.endswith("/"):  # relative links in the page would lead astray
                index = self._within(file / "index.html")
                return _with_slash(request) if index.is_file() else None
            file = self._within(file / "index.html")
        elif folder:
            return None
        return Response.file(file, headers=self._headers)

    def _within(self, path: Path) -> Path:
        """Resolve links; raises FileNotFoundError for what is not there or leads out of the directory."""
        resolved = Path(os.path.realpath(path, strict=True))  # Path.resolve has no OSError for a loop (3.11)
        if not resolved.is_relative_to(self._directory):
            raise FileNotFoundError(path)
        return resolved


def _is_plain(name: str) -> bool:
    """Tell whether it names something in its folder, on every system, and something public."""
    return bool(name) and not name.startswith(".") and not any(char in name for char in "\\:\0")


def _with_slash(request: Request) -> Response:
    query = f"?{request.query_string}" if request.query_string else ""
    return Response.redirect(f"{request.url_for_path(request.raw_path)}/{query}", 308)
