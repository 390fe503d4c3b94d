"""CGI variables to a request (RFC 3875, 4.1), as strictly as if it had come by HTTP.

The variables are turned back into the head of an HTTP request, which then has to pass the same gate as every
other one: there is one grammar, one set of limits and one list of what is refused. What must not be in a
variable (a line break that would make two fields of one) is refused before that.

Who the client is, whether it used TLS, and under which prefix the application is mounted are known by the
web server's word only, so they count where that is `trusted`. From others only the request itself is taken.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes

from pierhead.protocols.http1.events import Http1Limits, RequestHead
from pierhead.protocols.http1.gate import RefusedError, parse_head

__all__ = ["OWN_VARIABLES_BYTES", "GatewayRequest", "max_variables_bytes", "read_variables"]

OWN_VARIABLES_BYTES = 16 << 10
"""How much the web server may say itself, beside a request head of the largest size."""

_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*+")
_FIELD_NAME = re.compile(rb"HTTP_([!#$%&'*+\-.^_`|~0-9A-Za-z]++)")
_PROTOCOL = re.compile(rb"HTTP/([0-9])(?:\.([0-9]))?")
_PORT = re.compile(rb"[0-9]{1,5}")
_ENCODED_SLASH = re.compile(rb"(%2[Ff])")
_PATH_SAFE = "/:@!$&'()*+,;=~"
_ON = frozenset({b"on", b"1", b"https"})

# They are about the connection between the client and the web server (RFC 3875, 4.1.18), which has dealt with
# them; the body comes without its transfer coding. Proxy would pass for HTTP_PROXY in programs started later.
_DROPPED = frozenset(
    b"CONNECTION KEEP_ALIVE PROXY_CONNECTION TE TRAILER TRANSFER_ENCODING UPGRADE EXPECT PROXY"
    b" CONTENT_LENGTH CONTENT_TYPE".split()
)


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayRequest:
    """A request, and what the web server says about where it came from."""

    head: RequestHead
    """The target is without `root_path`."""
    length_known: bool = True
    """Whether there was a CONTENT_LENGTH."""
    client: tuple[str, int | None] | None = None
    """Address and port of the client; None where a web server that is not trusted says who it is."""
    server: tuple[str, int | None] | None = None
    """Address ("" if unknown) and port the client connected to."""
    scheme: str = "http"
    root_path: str = ""
    """The part of the path, percent-encoded, under which the application is mounted."""


def max_variables_bytes(limits: Http1Limits) -> int:
    """Return how many bytes all variables may have, names and values together."""
    return limits.max_head_bytes + OWN_VARIABLES_BYTES


def read_variables(
    variables: Iterable[tuple[bytes, bytes]],
    limits: Http1Limits,
    *,
    trusted: bool,
    own_process: bool = False,
) -> GatewayRequest:
    """Return the request that `variables` describe.

    `own_process` is for CGI proper, where the SCRIPT_NAME is always that of a program: FastCGI and SCGI
    servers put the whole path there unless they were told how to split it, so it counts only beside a
    PATH_INFO. Raises RefusedError with a status of the HTTP gate's; 400 also for a variable that cannot be
    one, and for two of one name that differ.
    """
    facts, fields, length_sent = _sort(variables)
    length = facts.get(b"CONTENT_LENGTH", b"")
    method = facts.get(b"REQUEST_METHOD", b"")
    target, root_path = _split_path(facts, trusted=trusted, own_process=own_process)
    lines = [b"%b: %b\r\n" % field for field in fields]
    if kind := facts.get(b"CONTENT_TYPE"):
        lines.append(b"Content-Type: %b\r\n" % kind)
    if length and (length != b"0" or length_sent):  # SCGI has one always
        lines.append(b"Content-Length: %b\r\n" % length)
    for text in (method, target, *lines):
        if not _VALUE.fullmatch(text.removesuffix(b"\r\n")):
            raise RefusedError(400, "a control character in a variable")
    has_host = any(name == b"Host" for name, _ in fields)
    version = _version(facts.get(b"SERVER_PROTOCOL", b""), has_host=has_host)
    raw = b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version, b"".join(lines))
    head = parse_head(raw, limits)
    if not trusted:
        return GatewayRequest(head, bool(length))
    https = facts.get(b"HTTPS", b"").lower() in _ON or facts.get(b"REQUEST_SCHEME", b"").lower() == b"https"
    return GatewayRequest(
        head,
        bool(length),
        client=_client(facts),
        server=_server(facts),
        scheme="https" if https else "http",
        root_path=root_path,
    )


def _sort(
    variables: Iterable[tuple[bytes, bytes]],
) -> tuple[dict[bytes, bytes], list[tuple[bytes, bytes]], bool]:
    """Return what are facts by name, the header fields in order, and if Content-Length was among them."""
    facts: dict[bytes, bytes] = {}
    fields: list[tuple[bytes, bytes]] = []
    bodies: list[tuple[bytes, bytes]] = []
    for name, value in variables:
        if not name.startswith(b"HTTP_"):
            if facts.setdefault(name, value) != value:
                raise RefusedError(400, "a variable came twice, with two values")
            continue
        match = _FIELD_NAME.fullmatch(name)
        if match is None:
            raise RefusedError(400, "a variable that is no header field begins with HTTP_")
        if match[1] not in _DROPPED:
            words = match[1].replace(b"_", b"-").split(b"-")
            fields.append((b"-".join(word.capitalize() for word in words), value))
        elif match[1].startswith(b"CONTENT"):
            bodies.append((match[1], value))
    for name, value in bodies:  # nginx sends them twice
        if facts.get(name, b"") != value:
            raise RefusedError(400, f"HTTP_{name.decode()} and {name.decode()} differ")
    return facts, fields, any(name == b"CONTENT_LENGTH" for name, _ in bodies)


def _version(protocol: bytes, *, has_host: bool) -> bytes:
    """Return the version whose rules the request is held to.

    In HTTP/2 and later a name comes as :authority, which not every web server hands on as a Host.
    """
    match = _PROTOCOL.fullmatch(protocol)
    if match is None:
        if protocol not in {b"", b"INCLUDED"}:  # the latter for a document that includes another (4.1.16)
            raise RefusedError(400, "the SERVER_PROTOCOL is not HTTP/version")
        return b"1.0"
    if match[1] == b"1":
        return b"1." + (match[2] or b"1")
    return b"1.1" if has_host and match[1] > b"1" else b"1.0"


def _split_path(facts: dict[bytes, bytes], *, trusted: bool, own_process: bool) -> tuple[bytes, str]:
    """Return the request-target below the application, and the path above it, percent-encoded.

    REQUEST_URI, no part of RFC 3875 but sent by all, is the path as the client sent it; the others are
    decoded. Where they do not belong together, the web server has rewritten the path, and what it made of
    it counts: that is what its own rules of access were applied to.
    """
    uri = facts.get(b"REQUEST_URI", b"")
    info = facts.get(b"PATH_INFO", b"")
    script = facts.get(b"SCRIPT_NAME", b"").removesuffix(b"/")
    path, mark, query = uri.partition(b"?")
    if not uri:
        query = facts.get(b"QUERY_STRING", b"")
        mark = b"?" if query else b""
        path = _quote(script + info) or b"/"
    if not trusted or not (info or (own_process and script)) or uri == b"*" or _stands_for(path, info):
        return path + mark + query, ""
    rest = _after(path, len(script))
    if _stands_for(path[: len(path) - len(rest)], script) and _stands_for(rest, info):
        return (rest or b"/") + mark + query, _quote(script).decode()
    query = facts.get(b"QUERY_STRING", b"")
    return (_quote(info) or b"/") + (b"?" if query else b"") + query, _quote(script).decode()


def _stands_for(path: bytes, decoded: bytes) -> bool:
    """Tell whether a path is the encoded form of another one; some servers leave its %2F as they are."""
    pieces = _ENCODED_SLASH.split(path)
    pieces[::2] = [unquote_to_bytes(piece) for piece in pieces[::2]]
    return decoded in {unquote_to_bytes(path), b"".join(pieces)}


def _quote(path: bytes) -> bytes:
    return quote(path, safe=_PATH_SAFE).encode()


def _after(path: bytes, decoded_bytes: int) -> bytes:
    """Return what follows so many bytes of a path, where an escape stands for one byte."""
    at = 0
    for _ in range(decoded_bytes):
        at += 3 if path[at : at + 1] == b"%" else 1
    return path[at:]


def _client(facts: dict[bytes, bytes]) -> tuple[str, int | None]:
    """Return who the client is: "unix:" on a unix socket, "unknown" where nothing is said about it."""
    text = facts.get(b"REMOTE_ADDR", b"")
    if not text:
        return "unknown", None
    if text.startswith(b"unix:"):
        return "unix:", None
    host = _address(text)
    if not host:
        raise RefusedError(400, "the REMOTE_ADDR is no address")
    return host, _port(facts.get(b"REMOTE_PORT", b""))


def _server(facts: dict[bytes, bytes]) -> tuple[str, int | None] | None:
    port = _port(facts.get(b"SERVER_PORT", b""))
    return (_address(facts.get(b"SERVER_ADDR", b"")), port) if port is not None else None


def _address(text: bytes) -> str:
    """Return an IP address as it is usually written, "" for what is none."""
    try:
        return str(ipaddress.ip_address(text.decode("ascii"))) if b"%" not in text else ""
    except ValueError:
        return ""


def _port(text: bytes) -> int | None:
    return int(text) if _PORT.fullmatch(text) and 0 < int(text) < 65536 else None
