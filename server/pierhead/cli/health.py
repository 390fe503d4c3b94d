"""`pierhead health`: asks a running server whether it is well, for container health checks and scripts."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from pierhead.cli.parser import Parser
from pierhead.errors import ConfigError

__all__ = ["main"]

_DEFAULT = "http://127.0.0.1:8080/healthz"
_UNIX = re.compile(r"http://unix:(.+?)(?::(/.*))?")


def main(argv: Sequence[str]) -> int:
    """Ask for the URL: 0 for a 2xx answer, else 1; one line says which. Raises ConfigError."""
    parser = Parser("health", "Ask a running server whether it is well: exit code 0 if so, else 1.")
    parser.add_argument(
        "url",
        nargs="?",
        default=_DEFAULT,
        metavar="URL",
        help=f"http(s)://host:port/path or http://unix:/a.sock:/path; default {_DEFAULT}, path /healthz",
    )
    parser.add_argument(
        "--timeout", type=float, default=4.0, metavar="SECONDS", help="wait no longer; default 4"
    )
    given = parser.parse(argv)
    url: str = given["url"]
    if given["timeout"] <= 0:
        raise ConfigError(f"--timeout = {given['timeout']:g}: use more than 0")
    connection, target = _connection(url, given["timeout"])
    try:
        connection.request("GET", target, headers={"User-Agent": "pierhead-health", "Connection": "close"})
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        # One line, whatever a stranger answers.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, http.client.BadStatusLine):
            reason = f"this is no HTTP response: {reason}"
        print(f"{url}: {reason}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    well = 200 <= response.status < 300
    print(f"{url}: {response.status} {response.reason}", file=sys.stdout if well else sys.stderr)
    return 0 if well else 1


class _UnixConnection(http.client.HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(url: str, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
    """Return a connection that is yet to be made, and the request target."""
    if match := _UNIX.fullmatch(url):
        return _UnixConnection(match[1], timeout_s), _target(url, match[2] or "/healthz")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r} is no URL to ask: {error}") from None
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None:
        raise ConfigError(f"{url!r} is no URL to ask: use http://host:port/path or http://unix:/path:/path")
    target = (parts.path or "/healthz") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme == "https":
        # It asks whether the server lives, at an address its certificate is seldom for.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        secure = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
        return secure, _target(url, target)
    return http.client.HTTPConnection(host, port, timeout=timeout_s), _target(url, target)


def _target(url: str, target: str) -> str:
    if not (target.isascii() and target.isprintable()) or " " in target:
        raise ConfigError(f"{url!r} is no URL to ask: percent-encode what is not ASCII, and spaces")
    return target
