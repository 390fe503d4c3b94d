"""Listener URLs: which protocol is spoken where.

http://127.0.0.1:8080    https://[::]:443    fastcgi://unix:/run/app.sock?mode=660    scgi://127.0.0.1:4000
http://unix:@name (an abstract socket of Linux)    fd://3 or fastcgi://fd:0 (inherited)    stdio:

Options follow a question mark, joined by `&`: limits of the listener's own, in the place of the server's
(`http://0.0.0.0:8080?max_body_bytes=1MiB&handler_timeout_s=5s`), `mode` of a unix socket, `proxy`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from pierhead.config.settings import limits
from pierhead.config.values import parse_value

__all__ = ["PROTOCOLS", "ListenURL", "OwnLimits", "listen_url_of_table"]

OwnLimits = tuple[tuple[str, Any], ...]
"""Settings that are a listener's own: name and value."""

PROTOCOLS = {"http": 80, "https": 443, "fastcgi": 0, "scgi": 0}
"""What a listener can speak → its port where none is given; 0: one must be given."""

_URL = re.compile(r"([a-z]+)://([^?]*)(?:\?(.*))?")
_TCP = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\[\]:/?#@\s]*))(?::([0-9]{1,5}))?/?")
_LIMITS = limits()
_UNIX_PATH_BYTES = 107  # sun_path of Linux without its final NUL; macOS has 103


@dataclasses.dataclass(frozen=True, slots=True)
class ListenURL:
    """One address to listen on."""

    host: str = ""
    """A name or an address; "" for what is no TCP."""
    port: int = 0
    """0: one that is free."""
    path: str = ""
    """Of the unix socket; an abstract one begins with "@"."""
    mode: int = 0o660
    """Of the unix socket: who may connect."""
    protocol: str = "http"
    """One of PROTOCOLS."""
    fd: int | None = None
    """The file descriptor of a socket that listens already, or is at least bound."""
    proxy_protocol: bool = False
    """Whether each connection begins with a PROXY header (`?proxy`)."""
    stdio: bool = False
    """Whether it is the one connection on standard input and output."""
    limits: OwnLimits = ()
    """Settings that are others for this listener."""

    @classmethod
    def parse(cls, text: str) -> ListenURL:
        """Read a listener URL; raises ValueError that says what is expected."""
        if text == "stdio:":
            return cls(stdio=True)
        match = _URL.fullmatch(text)
        if match is None:
            hint = f"; did you mean http://{text}?" if ":" in text and "://" not in text else ""
            raise ValueError(f"{_forms('http')}{hint}")
        protocol, address, options = match.groups()
        if protocol == "fd":
            protocol, address = "http", f"fd:{address}"
        if protocol not in PROTOCOLS:
            others = ", ".join(f"{name}://" for name in PROTOCOLS)
            raise ValueError(f"there is no {protocol}:// listener but {others}, fd:// and stdio:")
        if address.startswith("unix:"):
            listener = cls(path=_path(protocol, address[5:]), protocol=protocol)
        elif address.startswith("fd:"):
            listener = cls(fd=_descriptor(protocol, address[3:]), protocol=protocol)
        else:
            host, port = _host_and_port(protocol, address)
            listener = cls(host=host, port=port, protocol=protocol)
        return listener._with(options) if options is not None else listener

    def _with(self, options: str) -> ListenURL:
        changes: dict[str, Any] = {}
        limits: dict[str, Any] = {}
        for option in options.split("&"):
            name, _, value = option.partition("=")
            if name == "mode" and self.path and not self.abstract:
                if not re.fullmatch("[0-7]{3,4}", value):
                    raise ValueError(f"use {self.protocol}://unix:/path?mode=660 (octal)")
                changes["mode"] = int(value, 8)
            elif option == "proxy" and self.protocol in {"http", "https"}:
                changes["proxy_protocol"] = True
            elif option == "proxy":
                raise ValueError(f"the PROXY protocol goes before http and https, not {self.protocol}")
            elif name in _LIMITS:
                limits[name] = _limit(name, unquote(value))
            else:
                raise ValueError(
                    f"{option!r} is no option of this listener{_hint(name)}: use ?proxy, for a unix socket "
                    "?mode=660, or limits such as ?max_body_bytes=1MiB&head_timeout_s=5s"
                )
        return dataclasses.replace(self, **changes, limits=tuple(limits.items()))

    @property
    def abstract(self) -> bool:
        """Whether it is a unix socket without a file (Linux)."""
        return self.path.startswith("@")

    def __str__(self) -> str:
        if self.stdio:
            return "stdio:"
        if self.path:
            address = f"unix:{self.path}"
        elif self.fd is not None:
            address = f"fd:{self.fd}"
        else:
            address = f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        return f"{self.protocol}://{address}"


def listen_url_of_table(table: Mapping[str, Any]) -> str:
    """Turn a listener as a table in a file, `url` and options, into a listener URL.

    Raises ValueError that says what is wrong with which key.
    """
    url = table.get("url")
    if not isinstance(url, str) or not url:
        raise ValueError('the address is missing: url = "http://host:port"')
    options = []
    for name, value in table.items():
        if name == "proxy" and value is True:
            options.append("proxy")
        elif name == "mode" and isinstance(value, str):
            options.append(f"mode={value}")
        elif name in _LIMITS:
            _limit(name, value)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            options.append(f"{name}={quote(text, safe='')}")
        elif name != "url":
            known = 'proxy = true, mode = "660" and limits such as max_body_bytes = "1MiB"'
            raise ValueError(
                f"{name} = {value!r}: a listener has no such option{_hint(name)}: use url, {known}"
            )
    return f"{url}{'&' if '?' in url else '?'}{'&'.join(options)}" if options else url


def _limit(name: str, raw: object) -> Any:
    try:
        return parse_value(_LIMITS[name], raw)
    except ValueError as error:
        raise ValueError(f"{name} = {raw!r}: {error}") from None


def _hint(name: str) -> str:
    import difflib  # only now: a program for one request is started often

    close = difflib.get_close_matches(name, _LIMITS, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""


def _forms(protocol: str) -> str:
    return f"use {protocol}://host:port, {protocol}://[address]:port or {protocol}://unix:/path"


def _host_and_port(protocol: str, address: str) -> tuple[str, int]:
    match = _TCP.fullmatch(address)
    if match is None:
        raise ValueError(_forms(protocol))
    host = match[1] or match[2] or ""
    port = int(match[3]) if match[3] else PROTOCOLS[protocol]
    if not host:
        raise ValueError(
            f"the host is missing: {protocol}://127.0.0.1:8080 for this machine, "
            f"{protocol}://0.0.0.0:8080 for all"
        )
    if not match[3] and not port:
        raise ValueError(f"the port is missing: {protocol}://{address.rstrip('/')}:9000")
    if port > 65535:
        raise ValueError(f"a port is 0 to 65535, not {port}")
    return host, port


def _path(protocol: str, path: str) -> str:
    if path in {"", "@"} or path.endswith("/") or "#" in path:
        raise ValueError(
            f"use {protocol}://unix:/path, {protocol}://unix:/path?mode=660 (octal) or, without a file, "
            f"{protocol}://unix:@name"
        )
    if len(path.encode()) > _UNIX_PATH_BYTES:
        raise ValueError(f"the path of a unix socket has at most {_UNIX_PATH_BYTES} bytes")
    return path


def _descriptor(protocol: str, number: str) -> int:
    if not re.fullmatch("[0-9]{1,6}", number):
        raise ValueError(f"use {protocol}://fd:3 for the socket that is inherited as file descriptor 3")
    return int(number)
