"""Header sections of HTTP/2 as heads of HTTP/1, so that the same gate decides about both (RFC 9113, 8).

What is peculiar to HTTP/2 is checked here: the pseudo-header fields, names in lower case, and that nothing is
said about the connection. What is left is written as an HTTP/1.1 head, with `:authority` as Host, and passes
the gate: grammar, sizes, targets, lengths and expectations are held to the same rules, with the same status.
"""

from __future__ import annotations

import re

from pierhead.protocols.http1.events import Framing, Http1Limits, RawFields, RequestHead
from pierhead.protocols.http1.gate import PartialHead, RefusedError, parse_head
from pierhead.protocols.http1.grammar import FORBIDDEN_TRAILERS, TCHAR, VALUE

__all__ = ["MalformedError", "read_head", "read_trailers"]

_NAME = re.compile(rb"(?:(?![A-Z])%b)++" % TCHAR)
# Without white space around it, which HTTP/1 takes for none of the value (RFC 9113, 8.2.1).
_VALUE = re.compile(rb"(?![\t\x20])%b(?<![\t\x20])" % VALUE)
_VISIBLE = re.compile(rb"[\x21-\x7e]++")
_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})
_SCHEMES = frozenset({b"http", b"https"})
_OF_THE_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)


class MalformedError(RefusedError):
    """The request is malformed as HTTP/2 means it: beside the response, the stream is reset."""

    def __init__(self, reason: str) -> None:
        super().__init__(400, reason)


def read_head(section: RawFields, limits: Http1Limits, *, ended: bool) -> RequestHead:
    """Check a request's header section; `ended` tells that no body follows.

    Raises MalformedError for what RFC 9113 calls so, and RefusedError as `parse_head` does.
    """
    pseudo, fields = _sort(section)
    method, path = pseudo.get(b":method"), pseudo.get(b":path")
    if method == b"CONNECT":
        raise RefusedError(501, "CONNECT is for proxies")
    if method is None or path is None or b":scheme" not in pseudo:
        raise MalformedError("a request has :method, :scheme and :path")
    if pseudo[b":scheme"].lower() not in _SCHEMES:
        raise MalformedError("the :scheme is neither http nor https")
    if not (path.startswith(b"/") or path == b"*"):
        raise MalformedError("the :path is no path")
    fields = _with_host(pseudo.get(b":authority"), fields)
    raw = b"".join(
        [
            b"%b %b HTTP/1.1\r\n" % (method, path),
            *[b"%b: %b\r\n" % field for field in fields],
            b"\r\n",
        ]
    )
    try:
        head = parse_head(raw, limits)
    except RefusedError as error:
        if error.status == 400:
            raise MalformedError(error.reason) from None
        raise
    head.version = "2"
    if ended:
        if head.length:
            raise MalformedError("the body is shorter than the Content-Length")
    elif head.framing is Framing.NONE and not any(name == b"content-length" for name, _ in fields):
        head.framing = Framing.CHUNKED  # as HTTP/1 calls a body whose end is marked
        head.expect_continue = any(name == b"expect" for name, _ in fields)
    return head


def read_trailers(section: RawFields, limits: Http1Limits) -> RawFields:
    """Check a trailer section; raises MalformedError and RefusedError."""
    pseudo, fields = _sort(section)
    if pseudo:
        raise MalformedError("a trailer section has no pseudo-header fields")
    if len(fields) > limits.max_headers:
        raise RefusedError(431, f"the request has more than {limits.max_headers} trailer fields")
    for name, _ in fields:
        if name in FORBIDDEN_TRAILERS:
            raise MalformedError(f"{name.decode()} may not be a trailer field (RFC 9110, 6.5.1)")
    PartialHead(limits, request_line=False).check(b"".join(b"%b: %b\r\n" % field for field in fields))
    return fields


def _sort(section: RawFields) -> tuple[dict[bytes, bytes], RawFields]:
    """Return the pseudo-header fields and the others; raises MalformedError for what neither may be."""
    pseudo: dict[bytes, bytes] = {}
    fields: RawFields = []
    for name, value in section:
        if name.startswith(b":"):
            if fields:
                raise MalformedError("a pseudo-header field comes after other fields")
            if name not in _PSEUDO or name in pseudo or not _VISIBLE.fullmatch(value):
                raise MalformedError(f"the pseudo-header field {_shown(name)} is unknown, twice or malformed")
            pseudo[name] = value
            continue
        if not _NAME.fullmatch(name):
            raise MalformedError(f"the field name {_shown(name)} is malformed, or not in lower case")
        if not _VALUE.fullmatch(value):
            raise MalformedError(f"the value of the field {_shown(name)} is malformed")
        if name in _OF_THE_CONNECTION or (name == b"te" and value.lower() != b"trailers"):
            raise MalformedError(f"the field {_shown(name)} is for connections by HTTP/1 only")
        fields.append((name, value))
    return pseudo, fields


def _with_host(authority: bytes | None, fields: RawFields) -> RawFields:
    """Return the fields with `:authority` as Host, and Cookie in one piece (RFC 9113, 8.3.1 and 8.2.3)."""
    hosts = [value for name, value in fields if name == b"host"]
    if authority is not None and any(host.lower() != authority.lower() for host in hosts):
        raise MalformedError("Host and :authority differ")
    cookies = [value for name, value in fields if name == b"cookie"]
    if authority is None and len(cookies) < 2:
        return fields
    found = [(b"host", authority)] if authority is not None else []
    for field in fields:
        if field[0] == b"cookie":
            if cookies:
                found.append((b"cookie", b"; ".join(cookies)))
                cookies = []
        elif field[0] != b"host" or authority is None or len(hosts) > 1:
            found.append(field)
    return found


def _shown(name: bytes) -> str:
    return repr(name[:64].decode("latin-1"))
