r"""The fast path: knows, in one pass of one regular expression, the heads that most requests have.

A simple head is HTTP/1.1 in origin-form with one plain Host, keeps the connection, and says nothing about
framing but perhaps one Content-Length. What matches passes the gate as well, with the same result; what
does not match is no fault, but goes to the gate.

The expression also picks out the values of the fields that its user watches, so that nobody has to split
the section for them. It has one alternative for the names that begin like none of the special ones, and one
for each other initial: most names are told from the special ones by their first byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from operator import itemgetter

from pierhead.protocols.http1 import grammar
from pierhead.protocols.http1.events import Framing, Http1Limits, RequestHead

__all__ = ["SimpleHeads"]

_TCHARS = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_REQUEST_LINE = (
    rb"(?!CONNECT\x20)([A-Z]++)\x20"
    rb"(/(?:[!$&-;=@-Z\[\]^-~]++|%(?!00)[0-9A-Fa-f]{2})*+(?:\?[!$-;=?-~]*+)?+)\x20HTTP/1\.1\r\n"
)
_BLANKS = rb"[\t\x20]*+"
# The field lines that are simple, the group being the value. Other spellings of these are for the gate.
_FIELDS = {
    b"host": rb"([A-Za-z0-9\-._~]++(?::[0-9]{0,5}+)?+)" + _BLANKS,
    b"content-length": rb"([0-9]{1,18}+)" + _BLANKS,
    b"connection": rb"(?i:keep-alive)" + _BLANKS,
}
_FOR_THE_GATE = (b"transfer-encoding", b"expect", b"upgrade")


class SimpleHeads:
    """Recognises simple heads within `limits`.

    `watched` are names of fields, in lower case, that may stand in a simple head once each; their values are
    the head's `watched`. A field whose name begins as one of `wary` and is not watched makes a head other
    than simple, and so does a second line of one that is watched.
    """

    def __init__(
        self, limits: Http1Limits, watched: Sequence[bytes] = (), wary: Sequence[bytes] = ()
    ) -> None:
        self._most_bytes = min(limits.max_line_bytes, limits.max_head_bytes)
        self._most_body_bytes = limits.max_body_bytes
        expression = _Expression(watched, wary, limits.max_headers)
        self._match = re.compile(expression.source).match
        self._host = expression.groups[b"host"] - 1
        self._length = expression.groups[b"content-length"] - 1
        self._watched = _picker([expression.groups[name] - 1 for name in watched])

    def read(self, data: bytes | bytearray) -> tuple[RequestHead, int] | None:
        """Return the simple head that `data` begins with and where it ends; None where there is none."""
        match = self._match(data)
        if match is None:
            return None
        end = match.end()
        values = match.groups()
        host = values[self._host]
        if host is None or end > self._most_bytes:
            return None
        head = RequestHead(values[0].decode(), values[1].decode(), "1.1", values[2])
        head.host = host
        head.watched = self._watched(values)
        if values[self._length] is not None:
            head.length = int(values[self._length])
            if head.length > self._most_body_bytes:
                return None
            if head.length:
                head.framing = Framing.LENGTH
        return head, end


def _picker(places: list[int]) -> Callable[[tuple[bytes | None, ...]], tuple[bytes | None, ...]]:
    """Return what takes the values at `places`, as a tuple."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


class _Expression:
    """Builds `source`, the regular expression; `groups` has the group of each value by the field's name."""

    def __init__(self, watched: Sequence[bytes], wary: Sequence[bytes], most_fields: int) -> None:
        self.groups: dict[bytes, int] = {}
        fields = _FIELDS | dict.fromkeys(watched, b"(%b)" % grammar.VALUE)
        # A name in full, or the beginning of names: of these a line is simple as written in `fields` only.
        special = [*(name + b":" for name in (*fields, *_FOR_THE_GATE)), *wary]
        initials = sorted({name[:1] for name in special})
        plain = bytes(char for char in _TCHARS if bytes([char]).lower() not in initials)
        lines = [b"[%b]%b*+:%b\r\n" % (re.escape(plain), grammar.TCHAR, grammar.VALUE)]
        for initial in initials:
            known = {name: value for name, value in fields.items() if name[:1] == initial}
            own = b"%b|" % self._alternatives(known, 1) if known else b""
            others = b"|".join(re.escape(name[1:]) for name in special if name[:1] == initial)
            line = b"(?!(?i:%b))%b*+:%b\r\n" % (others, grammar.TCHAR, grammar.VALUE)
            lines.append(b"[%b%b](?:%b%b)" % (initial, initial.upper(), own, line))
        self.source = b"%b((?:%b){0,%d}+)\r\n" % (_REQUEST_LINE, b"|".join(lines), most_fields)

    def _alternatives(self, fields: dict[bytes, bytes], known: int) -> bytes:
        """Return an expression for lines of `fields` from byte `known` of their names on.

        What names have in common is read once.
        """
        expressions = []
        for initial in sorted({name[known : known + 1] for name in fields}):
            group = {name: value for name, value in fields.items() if name[known : known + 1] == initial}
            common = _common_beginning(group)
            rest = re.escape(common[known:])
            if len(group) == 1:
                expressions.append(b"(?i:%b):%b\r\n" % (rest, self._value(common, group[common])))
            else:
                expressions.append(b"(?i:%b)(?:%b)" % (rest, self._alternatives(group, len(common))))
        return b"|".join(expressions)

    def _value(self, name: bytes, value: bytes) -> bytes:
        """Return the expression for a value; one that has a group does not match a second time."""
        if not value.startswith(b"(") or value.startswith(b"(?"):
            return _BLANKS + value
        self.groups[name] = 4 + len(self.groups)
        return b"(?(%d)(?!))%b%b" % (self.groups[name], _BLANKS, value)


def _common_beginning(names: Collection[bytes]) -> bytes:
    """Return what all names begin with."""
    first, last = min(names), max(names)
    same = 0
    while same < len(first) and first[same] == last[same]:
        same += 1
    return first[:same]
