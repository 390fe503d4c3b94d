"""Conditional and range requests: 304, 412, 206 and 416 in the place of a 200 (RFC 9110, 13 and 14).

`conditional` evaluates them on a response that is ready, for GET and HEAD. What should keep another method
from being carried out has to be checked before, by the application, with `check_preconditions`.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pierhead.errors import HTTPError
from pierhead.messages.dates import format_http_date, parse_http_date
from pierhead.messages.files import FileBody
from pierhead.messages.headers import Headers
from pierhead.messages.response import Response

if TYPE_CHECKING:
    from pierhead.messages.request import Request

__all__ = ["check_preconditions", "conditional", "file_etag", "parse_etags", "parse_range", "restore_etags"]

_ETAG = re.compile(r'(W/)?+"([\x21\x23-\x7e\x80-\xff]*+)"')
_ETAG_LIST = re.compile(rf"[\t ,]*+(?:{_ETAG.pattern}[\t ]*+(?:,[\t ,]*+|\Z))++")
# What compressing proxies add inside the quotes, once for each that compressed.
_ENCODED = re.compile(r'(?:-(?:gzip|br|zstd|deflate))++"')
_RANGE = re.compile(r"bytes=[\t ]*+([0-9]{0,18})-([0-9]{0,18})[\t ]*+", re.IGNORECASE)

# Fields that describe the content of a 200 and not of what is sent in its place.
_OF_THE_CONTENT = frozenset(
    b"content-type content-length content-encoding content-language content-range content-disposition".split()
)


def conditional(request: Request, response: Response) -> Response:
    """Return what `request` gets where `response` is what it would get without conditions.

    A file gets validators (ETag, Last-Modified) where the application set none, and answers a single range.
    Other responses are compared by the validators the application gave them. Preconditions of responses that
    have none, and of those that are not a 200, are not evaluated (RFC 9110, 13.2.1).
    """
    if response.status != 200 or request.method not in {"GET", "HEAD"}:
        return response
    body = response.body
    if isinstance(body, FileBody):
        response.headers.setdefault("ETag", file_etag(body))
        response.headers.setdefault("Last-Modified", format_http_date(body.mtime_ns // 10**9))
        response.headers.setdefault("Accept-Ranges", "bytes")
    etag = response.headers.get("ETag")
    modified = parse_http_date(response.headers.get("Last-Modified", ""))
    if etag is None and modified is None:
        return response
    status = _precondition(request.headers, etag, modified)
    if status == 304:
        return Response(b"", 304, _without_content(response.headers))
    if status == 412:
        kept = _without_content(response.headers)
        return Response.problem(412, "the resource is not in the state that is required", headers=kept)
    if request.method == "GET" and isinstance(body, FileBody) and "Range" in request.headers:
        return _ranged(request.headers, response, body, etag, modified)
    return response


def check_preconditions(request: Request, *, etag: str | None, modified: str | None = None) -> None:
    """Raise HTTPError 412 unless the conditions of `request` allow its method to be carried out.

    For methods that change something, called before they do, in the same transaction. `etag` and `modified`
    are the ETag and Last-Modified that GET would show now; both None where there is nothing yet: then
    If-Match fails, and `If-None-Match: *` holds. Conditions that the request does not have hold.
    """
    exists = etag is not None or modified is not None
    if not exists and "If-Match" in request.headers:
        raise HTTPError(412, "there is nothing yet that If-Match could match")
    since = parse_http_date(modified) if modified is not None else None
    if _precondition(request.headers, etag, since, safe=False, exists=exists) == 412:
        current = {"ETag": etag} if etag is not None else {}
        raise HTTPError(412, "the resource is not in the state that is required", headers=current)


def restore_etags(headers: Headers) -> None:
    """Undo, in If-Match and If-None-Match, what compressing proxies do to the entity tags of an application.

    nginx weakens `"x"` to `W/"x"`, which strong comparison would refuse for ever; Caddy and Apache make it
    `"x-gzip"`, which nobody knows. The client sends back what it got. To be called, before conditions are
    evaluated, by an application whose own tags are all strong and do not end in a coding's name: then the
    altered tag can only stand for the one that was sent. If-Range is left alone: bytes of the compressed
    content are not those of the application's.
    """
    for name in ("If-Match", "If-None-Match"):
        tags = parse_etags(headers.get(name, ""))
        if tags:
            headers[name] = ", ".join(_ENCODED.sub('"', tag.removeprefix("W/")) for tag in tags)


def file_etag(file: FileBody) -> str:
    """Return a strong entity tag of a file: the time of its last change in nanoseconds, and its size."""
    return f'"{file.mtime_ns:x}-{file.size:x}"'


def parse_etags(value: str) -> list[str] | None:
    """Parse a list of entity tags, as in If-None-Match, into tags with their quotes, weak ones with W/.

    None where the value is malformed.
    """
    if not _ETAG_LIST.fullmatch(value):
        return None
    return [match[0] for match in _ETAG.finditer(value)]


def parse_range(value: str, size: int) -> tuple[int, int] | None:
    """Return the (offset, length) that a Range value asks of `size` bytes, None where it is to be ignored.

    Ignored, as RFC 9110, 14.2 allows, are other units than bytes, several ranges and what is malformed.
    Raises ValueError for a range that no byte is in: the answer is then 416.
    """
    match = _RANGE.fullmatch(value)
    if match is None:
        return None
    first, last = match.groups()
    if first:
        start = int(first)
        end = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None  # not a range
    elif last:
        start, end = max(0, size - int(last)), size
    else:
        return None
    if start >= end:
        raise ValueError(f"none of the {size} bytes is in the range {value!r}")
    return start, end - start


def _precondition(
    headers: Headers, etag: str | None, modified: int | None, *, safe: bool = True, exists: bool = True
) -> int:
    """Evaluate the conditions in the order of RFC 9110, 13.2.2; returns 304, 412, or 200 where all hold.

    What is 304 for a `safe` method is 412 for another one.
    """
    if_match = headers.get("If-Match")
    if if_match is not None:
        if not _matches(if_match, etag, weak=False):
            return 412
    elif modified is not None:
        since = parse_http_date(headers.get("If-Unmodified-Since", ""))
        if since is not None and modified > since:
            return 412
    if_none_match = headers.get("If-None-Match")
    if if_none_match is not None:
        if exists and _matches(if_none_match, etag, weak=True):
            return 304 if safe else 412
        return 200
    if safe and modified is not None:
        since = parse_http_date(headers.get("If-Modified-Since", ""))
        if since is not None and modified <= since:
            return 304
    return 200


def _matches(condition: str, etag: str | None, *, weak: bool) -> bool:
    """Tell whether the list `condition` has `etag`, by weak or strong comparison (RFC 9110, 8.8.3.2)."""
    if condition.strip() == "*":
        return True
    if etag is None:
        return False
    tags: Iterable[str] = parse_etags(condition) or ()
    if weak:
        return etag.removeprefix("W/") in (tag.removeprefix("W/") for tag in tags)
    return not etag.startswith("W/") and etag in tags


def _ranged(
    headers: Headers, response: Response, body: FileBody, etag: str | None, modified: int | None
) -> Response:
    if not _range_applies(headers.get("If-Range"), etag, modified):
        return response
    try:
        part = parse_range(headers["Range"], body.length)
    except ValueError:
        kept = _without_content(response.headers)
        kept["Content-Range"] = f"bytes */{body.length}"
        return Response.problem(416, f"the content has {body.length} bytes", headers=kept)
    if part is None:
        return response
    offset, length = part
    partial = Response(b"", 206, response.headers)
    partial.body = dataclasses.replace(body, offset=body.offset + offset, length=length)
    partial.headers["Content-Length"] = str(length)
    partial.headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{body.length}"
    return partial


def _range_applies(if_range: str | None, etag: str | None, modified: int | None) -> bool:
    """Evaluate If-Range: the range applies where nothing changed, by strong comparison (RFC 9110, 13.1.5)."""
    if if_range is None:
        return True
    if '"' in if_range:
        return _matches(if_range, etag, weak=False)
    date = parse_http_date(if_range)
    # Within the second of a change a date tells nothing apart (RFC 9110, 8.8.2.2).
    return date is not None and date == modified and date < int(time.time())


def _without_content(headers: Headers) -> Headers:
    return Headers.from_raw([line for line in headers.raw if line[0].lower() not in _OF_THE_CONTENT])
