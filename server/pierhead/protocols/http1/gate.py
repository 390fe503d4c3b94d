"""The strict gate: decides which bytes are a request head, before anything else sees them.

`h11` alone takes bare LF, folded lines, Content-Length beside Transfer-Encoding and more; those are how
requests are smuggled past a proxy, so they are refused here (RFC 9112, 11.2), each with its status.

The answer does not depend on how the bytes were split: what can be refused before the head is complete is
decided by the first byte that is wrong, in `PartialHead`, and a complete head is asked the same first.
"""

from __future__ import annotations

from typing import NoReturn

from pierhead.protocols.http1 import grammar
from pierhead.protocols.http1.events import Framing, Http1Limits, RequestHead

__all__ = ["PartialHead", "RefusedError", "parse_head"]

_LONGEST_LENGTH = 19  # decimal digits of a 63-bit integer
_AFTER_TARGET = len(" HTTP/1.1")


class RefusedError(Exception):
    """The bytes are refused with `status`; `reason` is one line for the client and the log."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


class PartialHead:
    """Refuses the beginning of a head, as it grows, as soon as no continuation could make it valid.

    The head starts at the request line (without `request_line`: at the first field of a trailer section).
    """

    __slots__ = ("_limits", "_line_bytes", "_request_line", "seen")

    def __init__(self, limits: Http1Limits, *, request_line: bool = True) -> None:
        self._limits = limits
        self._request_line = request_line
        self._line_bytes = -1  # of a request line that is complete
        self.seen = 0
        """How many bytes were checked: only those that are new are looked at again."""

    def check(self, head: bytes | bytearray) -> None:
        """Check the bytes so far, at most one head; raises RefusedError.

        400 for a byte that may stand nowhere in a head, 414 for a request line and 431 for a head over its
        limit. Of several faults the first counts, each placed at the byte that decides it: a CR is decided by
        the byte after it.
        """
        limits = self._limits
        begin = max(self.seen - 1, 0)  # the last one may have been a CR
        faults: list[tuple[int, int, str]] = []
        bad = grammar.BAD_BYTE.search(head, begin)
        if bad:
            place = bad.start() + (bad[0] == b"\r")
            faults.append((place, 400, "a control character or a bare CR or LF in the request head"))
        if self._request_line:
            if self._line_bytes < 0:
                self._line_bytes = head.find(b"\r\n", begin)
            line_bytes = self._line_bytes if self._line_bytes >= 0 else len(head) - head.endswith(b"\r")
            if line_bytes > limits.max_line_bytes:
                place = limits.max_line_bytes + (head[limits.max_line_bytes] == 0x0D)
                faults.append((place, 414, f"the request line is longer than {limits.max_line_bytes} bytes"))
        if len(head) > limits.max_head_bytes:
            faults.append(
                (limits.max_head_bytes, 431, f"the head is longer than {limits.max_head_bytes} bytes")
            )
        if faults:
            _, status, reason = min(faults)
            raise RefusedError(status, reason)
        self.seen = len(head)

    def find_end(self, head: bytes | bytearray) -> int:
        """Return where the head ends, after its empty line; 0 where it is not complete."""
        place = head.find(b"\r\n\r\n", max(self.seen - 3, 0))
        return 0 if place < 0 else place + 4


def parse_head(head: bytes, limits: Http1Limits) -> RequestHead:
    """Check a complete head, from its request line to its empty line, and take it apart.

    Raises RefusedError with 400, 413, 414, 417, 431, 501 or 505.
    """
    match = grammar.HEAD.fullmatch(head)
    if match is None:
        _refuse(head, limits)
    if len(head) > limits.max_head_bytes or match.end(2) + _AFTER_TARGET > limits.max_line_bytes:
        PartialHead(limits).check(head)
    method, target, minor, section = match.groups()
    if section.count(b"\n") > limits.max_headers:
        raise RefusedError(431, f"the request has more than {limits.max_headers} header fields")
    _check_target(method, target)
    # A minor version above 1 is treated as 1 (RFC 9110, 2.5).
    version = "1.0" if minor == b"0" else "1.1"
    request = RequestHead(method.decode("ascii"), target.decode("ascii"), version, section)
    _understand(request, limits)
    return request


def _refuse(head: bytes, limits: Http1Limits) -> NoReturn:
    """Say why a complete head did not match; raises RefusedError."""
    PartialHead(limits).check(head)
    lines = head[:-4].split(b"\r\n")
    line = grammar.REQUEST_LINE.fullmatch(lines[0])
    if line is None:
        raise RefusedError(400, "the request line is not 'method target HTTP/version'")
    if line[3] != b"1":
        raise RefusedError(505, f"HTTP/{line[3].decode()}.{line[4].decode()} is not spoken here")
    for number, field in enumerate(lines[1:], 1):
        if field.startswith((b" ", b"\t")):
            raise RefusedError(400, f"header line {number} is folded (RFC 9112, 5.2)")
        if not grammar.FIELD_LINE.fullmatch(field + b"\r\n"):
            raise RefusedError(400, f"header line {number} is not 'name: value'")
    raise RefusedError(400, "the request head is malformed")  # pragma: no cover - the grammar's safety net


def _check_target(method: bytes, target: bytes) -> None:
    """Hold the request-target to the form its method takes (RFC 9112, 3.2)."""
    if method == b"CONNECT":
        raise RefusedError(501, "CONNECT is for proxies")
    match = grammar.ORIGIN_FORM.fullmatch(target)
    if match is not None:
        path = match[1]
    elif target == b"*":
        if method != b"OPTIONS":
            raise RefusedError(400, "only OPTIONS may ask for '*'")
        return
    else:
        match = grammar.ABSOLUTE_FORM.fullmatch(target)
        if match is None or not grammar.AUTHORITY.fullmatch(match[1]):
            raise RefusedError(400, "the request-target is neither a path nor an http URI")
        path = match[2] or b""
    if b"%" in path and grammar.BAD_ESCAPE.search(path):
        raise RefusedError(
            400, "a percent sign in the path is not followed by two hexadecimal digits, or by 00"
        )


def _understand(request: RequestHead, limits: Http1Limits) -> None:
    """Read the fields that decide about framing, routing and the connection."""
    fields: dict[bytes, list[bytes]] = {}
    for name, value in grammar.SPECIAL_FIELDS.findall(request.section):
        fields.setdefault(name.lower(), []).append(value.rstrip(b"\t "))
    _check_host(request, fields.get(b"host", []))
    options = _list(fields.get(b"connection", []))
    request.keep_alive = b"close" not in options and (request.version == "1.1" or b"keep-alive" in options)
    if b"transfer-encoding" in fields:
        _check_codings(request, fields[b"transfer-encoding"], has_length=b"content-length" in fields)
    elif b"content-length" in fields:
        _check_length(request, fields[b"content-length"], limits)
    if request.version == "1.0":  # knows neither of the two (RFC 9110, 7.8 and 10.1.1)
        return
    if b"upgrade" in fields and b"upgrade" in options and request.framing is Framing.NONE:
        request.upgrade = tuple(name.decode("latin-1") for name in _list(fields[b"upgrade"]))
    if b"expect" in fields:
        expected = set(_list(fields[b"expect"]))
        if expected - {b"100-continue"}:
            raise RefusedError(417, "the only expectation that can be met is 100-continue")
        request.expect_continue = bool(expected) and request.framing is not Framing.NONE


def _check_host(request: RequestHead, hosts: list[bytes]) -> None:
    """Ask for exactly one valid Host field (RFC 9112, 3.2); HTTP/1.0 may leave it out."""
    if len(hosts) != 1 and (hosts or request.version == "1.1"):
        raise RefusedError(400, f"a request has one Host field, this one has {len(hosts)}")
    if hosts and hosts[0] and not grammar.AUTHORITY.fullmatch(hosts[0]):
        raise RefusedError(400, "the Host field is not 'host' or 'host:port'")


def _check_codings(request: RequestHead, codings: list[bytes], *, has_length: bool) -> None:
    """Take `Transfer-Encoding: chunked` and nothing else (RFC 9112, 6.1)."""
    if has_length:
        raise RefusedError(400, "Transfer-Encoding and Content-Length exclude each other")
    if request.version == "1.0":
        raise RefusedError(400, "HTTP/1.0 has no Transfer-Encoding")
    names = _list(codings)
    if len(codings) > 1 or not names or names[-1] != b"chunked" or names.count(b"chunked") > 1:
        raise RefusedError(400, "the only and last transfer coding must be chunked")
    if len(names) > 1:
        raise RefusedError(501, "no transfer coding but chunked is understood")
    if codings[0].lower() != b"chunked":
        raise RefusedError(400, "the Transfer-Encoding is malformed")
    request.framing = Framing.CHUNKED


def _check_length(request: RequestHead, lengths: list[bytes], limits: Http1Limits) -> None:
    """Take one Content-Length of decimal digits (RFC 9112, 6.2); a list, even of equal values, is refused."""
    if len(lengths) > 1 or not grammar.DIGITS.fullmatch(lengths[0]):
        raise RefusedError(400, "the Content-Length is not one decimal number")
    if len(lengths[0]) > _LONGEST_LENGTH or int(lengths[0]) > limits.max_body_bytes:
        raise RefusedError(413, f"the body is longer than {limits.max_body_bytes} bytes")
    request.length = int(lengths[0])
    if request.length:
        request.framing = Framing.LENGTH


def _list(values: list[bytes]) -> list[bytes]:
    """Return the members of a list field in lower case (RFC 9110, 5.6.1)."""
    return [
        member for value in values for part in value.split(b",") if (member := part.strip(b"\t ").lower())
    ]
