"""The exceptions that cross the borders between the server's parts."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

__all__ = [
    "ClientDisconnected",
    "ConfigError",
    "HTTPError",
    "LoadError",
    "PierheadError",
    "WebSocketClosed",
    "reason_phrase",
]


def reason_phrase(status: int) -> str:
    """Return the registered reason phrase of `status`, or "" where there is none (RFC 9110, 15)."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


class PierheadError(Exception):
    """Base of the errors that are Pierhead's own."""


class HTTPError(PierheadError):
    """Ends the handling of a request with an error response (RFC 9457 problem details by default).

    `status` is 400 to 599, `detail` is shown to the client, `headers` are added to the response, and
    `type`, `title` and `extensions` become members of the problem document.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        type: str = "about:blank",  # noqa: A002 - the member's name in RFC 9457
        title: str | None = None,
        **extensions: object,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"an HTTPError's status is 400 to 599, not {status}")
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.type = type
        self.title = title if title is not None else reason_phrase(status)
        self.extensions = extensions

    def __str__(self) -> str:
        """Return status, title and detail in one line."""
        return f"{self.status} {self.title}" + (f": {self.detail}" if self.detail else "")


class ClientDisconnected(PierheadError, ConnectionError):
    """The client went away before its request was read or its response was written."""


class WebSocketClosed(PierheadError):
    """The WebSocket is closed; `code` and `reason` are the peer's (RFC 6455, 7.1.5 and 7.1.6)."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        """Return code and reason in one line."""
        return f"WebSocket closed with code {self.code}" + (f": {self.reason}" if self.reason else "")


class ConfigError(PierheadError):
    """A configuration value that cannot be used; the message names its source, its key and the fix."""


class LoadError(PierheadError):
    """The application could not be imported; the message names the file, the cause and the fix."""
