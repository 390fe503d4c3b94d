"""Static files: the files of one directory, and nothing outside it."""

from __future__ import annotations

from pathlib import Path

from pierhead.errors import HTTPError
from pierhead.messages.request import Request
from pierhead.messages.response import Response

__all__ = ["StaticFiles"]


class StaticFiles:
    """Answers with the files below `directory`; a folder's answer is its index.html.

    Not served, and answered with 404 like what does not exist: names that begin with a dot, anything outside
    the directory, also by way of a symbolic link, and what is no regular file. Raises ValueError where
    `directory` is none.
    """

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory).resolve()
        if not self._directory.is_dir():
            raise ValueError(f"there is no directory {str(directory)!r} to serve files from")

    def respond(self, request: Request, path: str) -> Response:
        """Answer with the file at `path`, relative to the directory; raises HTTPError 404."""
        # An encoded slash or backslash, or a NUL, never made a file name on the way here.
        parts = path.split("/")
        if any(part.startswith(".") or "\\" in part or "\0" in part for part in parts):
            raise _not_found()
        try:
            file = self._directory.joinpath(*parts).resolve()
            if not file.is_relative_to(self._directory):
                raise _not_found()
            if file.is_dir():
                if path and not path.endswith("/"):  # so that relative links in the page work
                    return Response.redirect(f"{request.root_path}{request.raw_path}/", status=308)
                file = (file / "index.html").resolve()
            if not file.is_relative_to(self._directory):
                raise _not_found()
            return Response.file(file)
        except OSError:
            raise _not_found() from None


def _not_found() -> HTTPError:
    return HTTPError(404, "there is no such file")
