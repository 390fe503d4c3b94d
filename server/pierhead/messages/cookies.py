"""Cookies: parsing of Cookie, rendering of Set-Cookie, both by RFC 6265bis."""

from __future__ import annotations

import datetime
import re
from typing import Literal

from pierhead.messages.dates import format_http_date
from pierhead.messages.headers import Headers

__all__ = ["CookieSetter", "SameSite", "parse_cookies", "render_cookie"]

SameSite = Literal["Strict", "Lax", "None"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*+")
_PATH = re.compile(r"/[\x20-\x3a\x3c-\x7e]*+")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[0-9A-Za-z](?:[0-9A-Za-z\-]*+)(?:\.[0-9A-Za-z][0-9A-Za-z\-]*+)*+")
_MAX_PAIR_BYTES = 4096
_MAX_ATTRIBUTE_BYTES = 1024
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


def parse_cookies(value: str) -> dict[str, str]:
    """Parse a Cookie field value, as decoded from Latin-1, into name → value.

    Of cookies with one name the first counts, which is that with the longest path (RFC 6265bis, 5.8.3). What
    has no name is left out. Double quotes around a value are dropped; bytes outside ASCII are taken as UTF-8.
    """
    if not value.isascii():
        value = value.encode("latin-1", "replace").decode("utf-8", "replace")
    cookies: dict[str, str] = {}
    for pair in value.split(";"):
        name, equals, content = pair.partition("=")
        name = name.strip(" \t")
        if not equals or not name:
            continue
        content = content.strip(" \t")
        if len(content) > 1 and content[0] == content[-1] == '"':
            content = content[1:-1]
        cookies.setdefault(name, content)
    return cookies


def render_cookie(
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    expires: datetime.datetime | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: SameSite | None = "Lax",
    partitioned: bool = False,
) -> str:
    """Render a Set-Cookie field value.

    `max_age` is in seconds; `expires` has a time zone. Without either the cookie lasts as long as the
    browser's session. Raises ValueError for what browsers would ignore, misread or reject: a name that is no
    token, a value with white space, quotes, commas, semicolons, backslashes or non-ASCII (percent-encode
    those), a cookie over 4096 bytes, `__Secure-` without `secure`, `__Host-` without `secure` and path "/" or
    with a domain, SameSite=None or Partitioned without `secure`.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no cookie name: use letters, digits and any of !#$%&'*+-.^_`|~")
    if not _VALUE.fullmatch(value):
        raise ValueError(
            f"cookie {name!r}: its value has characters a cookie cannot carry (white space, quotes, comma, "
            "semicolon, backslash, non-ASCII); encode it, for example with urllib.parse.quote"
        )
    if len(name) + len(value) > _MAX_PAIR_BYTES:
        raise ValueError(
            f"cookie {name!r}: name and value have {len(name) + len(value)} bytes, browsers keep at most "
            f"{_MAX_PAIR_BYTES}"
        )
    _check_prefix(name, path, domain, secure)
    parts = [f"{name}={value}"]
    if expires is not None:
        parts.append(f"Expires={format_http_date(expires)}")
    if max_age is not None:
        parts.append(f"Max-Age={int(max_age)}")
    if domain is not None:
        domain = domain.removeprefix(".")
        if not _DOMAIN.fullmatch(domain):
            raise ValueError(f"cookie {name!r}: {domain!r} is no domain; write one such as 'example.org'")
        parts.append(f"Domain={domain}")
    if path is not None:
        if not _PATH.fullmatch(path) or len(path) > _MAX_ATTRIBUTE_BYTES:
            raise ValueError(f"cookie {name!r}: {path!r} is no cookie path: it begins with / and has no ;")
        parts.append(f"Path={path}")
    if secure:
        parts.append("Secure")
    if httponly:
        parts.append("HttpOnly")
    if samesite is not None:
        parts.append(f"SameSite={_same_site(name, samesite, secure)}")
    if partitioned:
        if not secure:
            raise ValueError(f"cookie {name!r}: browsers reject Partitioned without Secure; pass secure=True")
        parts.append("Partitioned")
    return "; ".join(parts)


def _check_prefix(name: str, path: str | None, domain: str | None, secure: bool) -> None:
    lower = name.lower()  # browsers compare the prefixes without regard to case
    if lower.startswith("__secure-") and not secure:
        raise ValueError(f"cookie {name!r}: a name with __Secure- needs secure=True")
    if lower.startswith("__host-") and not (secure and path == "/" and domain is None):
        raise ValueError(f"cookie {name!r}: a name with __Host- needs secure=True, path='/' and no domain")


def _same_site(name: str, samesite: str, secure: bool) -> str:
    value = samesite.capitalize()
    if value not in {"Strict", "Lax", "None"}:
        raise ValueError(f"cookie {name!r}: samesite is 'Strict', 'Lax', 'None' or None, not {samesite!r}")
    if value == "None" and not secure:
        raise ValueError(f"cookie {name!r}: browsers reject SameSite=None without Secure; pass secure=True")
    return value


class CookieSetter:
    """Gives a class whose response fields are `_cookie_headers()` the methods that set cookies."""

    __slots__ = ()

    def _cookie_headers(self) -> Headers:
        raise NotImplementedError

    def set_cookie(
        self,
        name: str,
        value: str,
        *,
        max_age: int | None = None,
        expires: datetime.datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: SameSite | None = "Lax",
        partitioned: bool = False,
    ) -> None:
        """Add a Set-Cookie field; parameters and errors are those of `render_cookie`."""
        rendered = render_cookie(
            name,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )
        self._cookie_headers().add("Set-Cookie", rendered)

    def delete_cookie(
        self,
        name: str,
        path: str | None = "/",
        domain: str | None = None,
        *,
        secure: bool = False,
        samesite: SameSite | None = "Lax",
        partitioned: bool = False,
    ) -> None:
        """Make the browser drop a cookie, which must have been set with the same path and domain.

        The prefixes `__Host-` and `__Secure-` imply `secure`.
        """
        secure = secure or name.lower().startswith(("__host-", "__secure-"))
        self.set_cookie(
            name,
            "",
            max_age=0,
            expires=_EPOCH,
            path=path,
            domain=domain,
            secure=secure,
            samesite=samesite,
            partitioned=partitioned,
        )
