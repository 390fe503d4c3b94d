"""A readable description of a request for debugging, with what must not be seen masked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from pierhead.messages.request import Request

__all__ = ["MASK", "dump", "is_secret", "mask_query"]

MASK = "***"
_MAX_VALUE_CHARS = 1000

_SECRET = re.compile(
    r"passw|passphrase|passcode|pwd|secret|token|credential|cookie|session|signature|jwt|otp\b"
    r"|auth(?!or(?!i[sz]))|api[-_ ]?key|access[-_ ]?key|private[-_ ]?key|csrf|cvv|cvc|\bpin\b|\bpass\b",
    re.IGNORECASE,
)
_PAIR = re.compile(r"([?&;]|\A)([^=&;?#\s]++)=([^&;#\s]*+)")

_USERINFO = re.compile(r"//[^/?#@\s]++@")


def is_secret(name: str) -> bool:
    """Tell whether a value of that name is not to be shown: password, token, authorization, api_key, ..."""
    return _SECRET.search(name) is not None


def mask_query(text: str) -> str:
    """Mask the secrets in a query string, or in the queries and the userinfo of the URLs in a text."""

    def mask(match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}={MASK}" if is_secret(unquote_plus(match[2])) else match[0]

    return _PAIR.sub(mask, _USERINFO.sub(f"//{MASK}@", text))


def dump(request: Request) -> str:
    """Describe `request` line by line: what came, and what was made of it.

    Shows request line, addresses, fields, path and query parameters, cookies and a form that was read.
    Control characters are escaped, long values cut. Values with names such as password or token are masked,
    all cookies too, and credentials in URLs.
    """
    lines = [f"{request.method} {mask_query(request.target)} HTTP/{request.http_version}"]
    facts = [("id", request.id), ("url", mask_query(request.url))]
    if request.client is not None:
        facts.append(("client", _address(request.client)))
    if request.server is not None:
        facts.append(("server", _address(request.server)))
    sections: list[tuple[str, Iterable[tuple[str, object]]]] = [
        ("", facts),
        ("headers", ((name, mask_query(value)) for name, value in request.headers.items())),
        ("params", request.params.items()),
        ("query", request.query.items()),
        ("cookies", ((name, MASK) for name in request.cookies)),
    ]
    form = request.form_if_read
    if form is not None:
        sections.append(("form", form.items()))
        sections.append(("files", ((name, repr(upload)) for name, upload in form.files.items())))
    for title, pairs in sections:
        rendered = [
            f"  {_printable(name)}: {MASK if is_secret(name) else _printable(value)}" for name, value in pairs
        ]
        if rendered and title:
            lines.append(f"{title}:")
        lines += rendered
    return "\n".join(lines)


def _address(address: tuple[str, int | None]) -> str:
    host, port = address
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _printable(value: object) -> str:
    text = str(value)
    if len(text) > _MAX_VALUE_CHARS:
        text = f"{text[:_MAX_VALUE_CHARS]}... ({len(text)} characters)"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )
