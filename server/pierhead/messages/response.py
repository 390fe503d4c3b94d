"""Response: what an application answers, and the shortcuts to build one."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import functools
import json
import os
import re
from collections.abc import AsyncIterable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pierhead.errors import reason_phrase
from pierhead.messages.cookies import CookieSetter
from pierhead.messages.files import FileBody, content_disposition
from pierhead.messages.headers import HeaderItems, Headers, RawHeaders, field_value
from pierhead.messages.media import guess_content_type
from pierhead.messages.streams import iterate_in_thread

__all__ = ["Response", "ResponseBody"]

ResponseBody = bytes | FileBody | AsyncIterable[bytes]
"""What a response's body is once it is built: whole, in a file, or in pieces."""

_BODILESS = frozenset({204, 205, 304})


@functools.lru_cache(256)  # there are few, and they come in every response
def _content_type(value: str) -> tuple[bytes, bytes]:
    return b"Content-Type", field_value("Content-Type", value)


_OCTET_STREAM = _content_type("application/octet-stream")
_TEXT = _content_type("text/plain; charset=utf-8")
# What a Location keeps as it is: the reserved characters of RFC 3986 and the escapes already there.
_LOCATION_SAFE = ":/?#[]@!$&'()*+,;=%-._~"


class Response(CookieSetter):
    """A status, header fields and a body.

    `body` is bytes, text (sent as UTF-8), an iterable of bytes, asynchronous or not (a synchronous one is
    iterated in a thread), a `FileBody`, or None. `content_type` sets the Content-Type; without it text is
    text/plain and other content application/octet-stream, unless `headers` has one. Raises ValueError for a
    status outside 200 to 599, a body with a status that has none, and header fields that cannot be sent.

    Framing is the server's: it adds Content-Length or Transfer-Encoding, Connection and Date by itself.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        body: bytes | str | AsyncIterable[bytes] | Iterable[bytes] | FileBody | None = b"",
        status: int = 200,
        headers: HeaderItems | None = None,
        content_type: str | None = None,
    ) -> None:
        if status.__class__ is not int:
            status = _status(status)
        if not 200 <= status <= 599:
            raise ValueError(f"a response's status is 200 to 599, not {status}")
        self.status = status
        self.body: ResponseBody
        default: tuple[bytes, bytes] | None = _OCTET_STREAM
        if body.__class__ is bytes:
            self.body = body
        elif isinstance(body, str):
            self.body = body.encode()
            default = _TEXT
        else:
            self.body = _body(body)
        if headers is None:
            self.headers = Headers(())
        else:
            self.headers = Headers(headers)
            if "Content-Type" in self.headers:
                if content_type is not None:
                    self.headers["Content-Type"] = content_type
                default = content_type = None
        if isinstance(body, FileBody):
            self.headers.setdefault("Content-Length", str(body.length))
        if content_type is not None:
            self.headers.raw.append(_content_type(content_type))
        elif self.body and default is not None:
            self.headers.raw.append(default)
        if status in _BODILESS and self.body:
            raise ValueError(f"a {status} response has no body (RFC 9110, 15)")

    @classmethod
    def from_raw(cls, status: int, fields: RawHeaders, body: ResponseBody = b"") -> Response:
        """Wrap what an application of another interface answers; nothing is checked, copied or added."""
        response = cls.__new__(cls)
        response.status = status
        response.headers = headers = Headers(())
        headers.raw = fields
        response.body = body
        return response

    @classmethod
    def text(cls, text: str, status: int = 200, headers: HeaderItems | None = None) -> Response:
        """Answer with plain text in UTF-8."""
        return cls(text, status, headers, "text/plain; charset=utf-8")

    @classmethod
    def html(cls, html: str, status: int = 200, headers: HeaderItems | None = None) -> Response:
        """Answer with HTML in UTF-8. Escape what comes from outside: `html.escape` or a template engine."""
        return cls(html, status, headers, "text/html; charset=utf-8")

    @classmethod
    def json(cls, data: Any, status: int = 200, headers: HeaderItems | None = None) -> Response:
        """Answer with JSON (RFC 8259), compact and in UTF-8.

        Beside JSON's own types: date, time and datetime (ISO 8601), UUID and Decimal (as text), enumerations
        (their value), dataclasses and mappings (objects), sets (arrays).
        Raises TypeError for other types, ValueError for NaN and infinity, which JSON does not have.
        """
        return cls(_encode(data).encode(), status, headers, "application/json")

    @classmethod
    def empty(cls, status: int = 204, headers: HeaderItems | None = None) -> Response:
        """Answer without a body."""
        return cls(b"", status, headers)

    @classmethod
    def redirect(cls, location: str, status: int = 303, headers: HeaderItems | None = None) -> Response:
        """Send the client to `location`, a URL or a path.

        303 has it GET there; 307 and 308 (permanent) repeat the method. Characters that a URL does not have
        are percent-encoded as UTF-8, a backslash too, which browsers would read as a slash. Raises ValueError
        for control characters, an empty location and a status that is no redirect.
        """
        if status not in {301, 302, 303, 307, 308}:
            raise ValueError(f"a redirect's status is 301, 302, 303, 307 or 308, not {status}")
        if not location or re.search(r"[\x00-\x1f\x7f]", location):
            raise ValueError(f"a redirect cannot go to {location!r}: it is empty or has control characters")
        response = cls(b"", status, headers)
        response.headers["Location"] = quote(location, safe=_LOCATION_SAFE)
        return response

    @classmethod
    def stream(
        cls,
        pieces: AsyncIterable[bytes] | Iterable[bytes],
        status: int = 200,
        headers: HeaderItems | None = None,
        content_type: str = "application/octet-stream",
    ) -> Response:
        """Answer with pieces of bytes as they come, with back-pressure; a plain iterable runs in a thread.

        An iterator that has `aclose` or `close` is closed when the response ended, however it ended.
        """
        return cls(pieces, status, headers, content_type)

    @classmethod
    def file(
        cls,
        path: str | os.PathLike[str],
        *,
        status: int = 200,
        content_type: str | None = None,
        download_name: str | None = None,
        headers: HeaderItems | None = None,
    ) -> Response:
        """Answer with a file, sent in pieces, its Content-Type by its name's extension.

        `download_name` has browsers save it under that name instead of showing it. Conditional and range
        requests are answered from it by `pierhead.messages.conditional`. Raises OSError (FileNotFoundError,
        IsADirectoryError, ...) as `FileBody.of`, ValueError for a download name with a path in it.
        """
        body = FileBody.of(path)
        if content_type is None and (headers is None or "Content-Type" not in Headers(headers)):
            content_type = guess_content_type(body.path.name)
        response = cls(body, status, headers, content_type)
        if download_name is not None:
            response.headers["Content-Disposition"] = content_disposition(download_name)
        return response

    @classmethod
    def problem(
        cls,
        status: int,
        detail: str = "",
        *,
        type: str = "about:blank",  # noqa: A002 - the member's name in RFC 9457
        title: str | None = None,
        headers: HeaderItems | None = None,
        **extensions: Any,
    ) -> Response:
        """Answer with problem details (RFC 9457); `extensions` become members of the document."""
        document: dict[str, Any] = {
            "type": type,
            "title": title if title is not None else reason_phrase(status),
            "status": int(status),
        }
        if detail:
            document["detail"] = detail
        document.update(extensions)
        return cls(_encode(document).encode(), status, headers, "application/problem+json")

    def _cookie_headers(self) -> Headers:
        return self.headers

    def __repr__(self) -> str:
        body = f"{len(self.body)} bytes" if isinstance(self.body, bytes) else repr(self.body)
        return f"<Response {self.status} {self.headers.get('Content-Type', '')} {body}>"


def _status(status: object) -> int:
    if isinstance(status, HTTPStatus):
        return status.value
    raise TypeError(f"a response's status is an int, not {type(status).__name__}: {status!r}")


def _body(body: object) -> ResponseBody:
    if body is None:
        return b""
    if isinstance(body, bytearray | memoryview | bytes):
        return bytes(body)
    if isinstance(body, FileBody | AsyncIterable):
        return body
    if isinstance(body, Iterable) and not isinstance(body, Mapping):
        return iterate_in_thread(body)
    raise TypeError(
        f"a response's body is bytes, str, an iterable of bytes, a FileBody or None, not "
        f"{type(body).__name__}; for data there is Response.json"
    )


def _to_json(value: object) -> Any:
    """Turn what JSON does not know into what it knows."""
    import decimal
    import uuid

    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID | decimal.Decimal):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return list(value)
    fix = "await it first" if hasattr(value, "__await__") else "convert it to dict, list or str first"
    raise TypeError(f"Response.json cannot encode {type(value).__name__}: {fix}")


_encode = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_to_json
).encode
