"""A client that keeps cookies, as a browser does (RFC 6265, 5)."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pierhead.messages.headers import Headers
    from pierhead.testing.client import Client
    from pierhead.testing.responses import ClientResponse

__all__ = ["CookieJar", "Session"]


@dataclasses.dataclass(frozen=True, slots=True)
class _Cookie:
    value: str
    path: str
    secure: bool
    expires_at: float | None
    """In seconds since the epoch; None for one that lasts as long as the jar."""


class CookieJar:
    """The cookies of one site, by name and path."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str], _Cookie] = {}

    @classmethod
    def load(cls, data: Iterable[Mapping[str, Any]]) -> CookieJar:
        """Return a jar of what `dump` returned; raises KeyError or TypeError for what it did not."""
        jar = cls()
        for item in data:
            cookie = _Cookie(item["value"], item["path"], item["secure"], item["expires_at"])
            jar._cookies[item["name"], cookie.path] = cookie
        return jar

    def dump(self) -> list[dict[str, Any]]:
        """Return the cookies as what JSON can hold."""
        return [{"name": name, **dataclasses.asdict(one)} for (name, _), one in self._cookies.items()]

    def take(self, headers: Headers, target: str) -> None:
        """Keep the cookies that a response to a request for `target` sets, and drop those it ends."""
        for line in headers.getlist("Set-Cookie"):
            pair, *attributes = line.split(";")
            name, _, value = pair.strip().partition("=")
            path, secure, expires_at = _default_path(target), False, None
            for attribute in attributes:
                key, _, text = attribute.strip().partition("=")
                if key.lower() == "path" and text.startswith("/"):
                    path = text
                elif key.lower() == "secure":
                    secure = True
                elif key.lower() == "max-age" and text.removeprefix("-").isdecimal():
                    expires_at = time.time() + int(text)
                elif key.lower() == "expires" and expires_at is None:
                    with contextlib.suppress(ValueError):
                        expires_at = parsedate_to_datetime(text).timestamp()
            if expires_at is not None and expires_at <= time.time():
                self._cookies.pop((name, path), None)
            else:
                self._cookies[name, path] = _Cookie(value, path, secure, expires_at)

    def header(self, target: str, *, secure: bool) -> str:
        """Return the Cookie field for a request, "" where there are none for it; longer paths come first."""
        path = target.partition("?")[0]
        found = [
            (name, one)
            for (name, _), one in self._cookies.items()
            if _matches(path, one.path)
            and (secure or not one.secure)
            and (one.expires_at is None or one.expires_at > time.time())
        ]
        found.sort(key=lambda pair: -len(pair[1].path))
        return "; ".join(f"{name}={one.value}" for name, one in found)


class Session:
    """Sends requests through `client`, with the cookies that earlier responses have set."""

    def __init__(self, client: Client, jar: CookieJar | None = None) -> None:
        self.jar = CookieJar() if jar is None else jar
        self._client = client

    def request(self, method: str, target: str, **options: Any) -> ClientResponse:
        """Send a request; the options are those of `Client.request`."""
        given = options.pop("headers", ())
        headers = list(given.items() if isinstance(given, Mapping) else given)
        if cookies := self.jar.header(target, secure=self._client.secure):
            headers.append(("Cookie", cookies))
        response = self._client.request(method, target, headers=headers, **options)
        self.jar.take(response.headers, target)
        return response

    def get(self, target: str, **options: Any) -> ClientResponse:
        """Send GET; the options are those of `Client.request`."""
        return self.request("GET", target, **options)

    def post(self, target: str, **options: Any) -> ClientResponse:
        """Send POST; the options are those of `Client.request`."""
        return self.request("POST", target, **options)


def _default_path(target: str) -> str:
    """Return the path of a cookie that names none (RFC 6265, 5.1.4)."""
    return target.partition("?")[0].rpartition("/")[0] or "/"


def _matches(path: str, of_cookie: str) -> bool:
    """Tell whether a cookie is for a path (RFC 6265, 5.1.4)."""
    return path == of_cookie or path.startswith(of_cookie if of_cookie.endswith("/") else of_cookie + "/")
