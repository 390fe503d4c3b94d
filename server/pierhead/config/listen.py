"""Listener URLs: `http://host:port`, `http://[address]:port`, `http://unix:/path?mode=660`."""

from __future__ import annotations

import dataclasses
import re

__all__ = ["ListenURL"]

_FORM = "use http://host:port, http://[address]:port or http://unix:/path"
_TCP = re.compile(r"http://(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\[\]:/?#@\s]*))(?::([0-9]{1,5}))?/?")
_UNIX = re.compile(r"http://unix:([^?#]+)(?:\?mode=([0-7]{3,4}))?")
_UNIX_PATH_BYTES = 107  # sun_path of Linux without its final NUL; macOS has 103


@dataclasses.dataclass(frozen=True, slots=True)
class ListenURL:
    """One address to listen on."""

    host: str = ""
    """A name or an address; "" for a unix socket."""
    port: int = 0
    """0: one that is free."""
    path: str = ""
    """Of the unix socket; "" for TCP."""
    mode: int = 0o660
    """Of the unix socket: who may connect."""

    @classmethod
    def parse(cls, text: str) -> ListenURL:
        """Read a listener URL; raises ValueError that says what is expected."""
        if text.startswith("http://unix:"):
            return cls._parse_unix(text)
        match = _TCP.fullmatch(text)
        if match is None:
            if "://" not in text:
                hint = f"; did you mean http://{text}?" if ":" in text else ""
                raise ValueError(f"{_FORM}{hint}")
            scheme = text.partition("://")[0]
            raise ValueError(f"{_FORM}" if scheme == "http" else f"there is no {scheme}:// listener: {_FORM}")
        host = match[1] or match[2] or ""
        if not host:
            raise ValueError(
                "the host is missing: http://127.0.0.1:8080 for this machine, http://0.0.0.0:8080 for all"
            )
        port = int(match[3]) if match[3] else 80
        if port > 65535:
            raise ValueError(f"a port is 0 to 65535, not {port}")
        return cls(host=host, port=port)

    @classmethod
    def _parse_unix(cls, text: str) -> ListenURL:
        match = _UNIX.fullmatch(text)
        if match is None or match[1].endswith("/"):
            raise ValueError("use http://unix:/path or http://unix:/path?mode=660 (octal)")
        if len(match[1].encode()) > _UNIX_PATH_BYTES:
            raise ValueError(f"the path of a unix socket has at most {_UNIX_PATH_BYTES} bytes")
        return cls(path=match[1], mode=int(match[2] or "660", 8))

    def __str__(self) -> str:
        if self.path:
            return f"http://unix:{self.path}"
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
