"""What the HTTP/1 codec says about the bytes it was fed, and the limits it holds them to."""

from __future__ import annotations

import dataclasses
import enum
import re

__all__ = [
    "Data",
    "End",
    "Event",
    "Framing",
    "Http1Limits",
    "Http2Preface",
    "RawFields",
    "Refused",
    "RequestHead",
    "split_fields",
]

RawFields = list[tuple[bytes, bytes]]

_PAIRS = re.compile(rb"([^:]++): ?+([^\r]*+)\r\n").findall


def split_fields(section: bytes) -> RawFields:
    """Split a section that matched the grammar into its (name, value) pairs."""
    fields: RawFields = _PAIRS(section)
    if b"  " in section or b" \r" in section or b"\t" in section:  # more than the one blank after the colon
        return [(name, value.strip(b"\t ")) for name, value in fields]
    return fields


class Framing(enum.Enum):
    """How the end of a request's body is found (RFC 9112, 6.3)."""

    NONE = "none"
    LENGTH = "content-length"
    CHUNKED = "chunked"


@dataclasses.dataclass(frozen=True, slots=True)
class Http1Limits:
    """The largest request the codec takes; what is larger is refused with the status named."""

    max_line_bytes: int = 8 << 10
    """The request line without its CRLF, else 414; also each line of a chunked body's framing, else 400."""
    max_head_bytes: int = 32 << 10
    """Request line and header section with their line ends, else 431; also a trailer section."""
    max_headers: int = 100
    """Field lines in a header or trailer section, else 431."""
    max_body_bytes: int = 128 << 20
    """The decoded body, else 413."""


@dataclasses.dataclass(slots=True)
class RequestHead:
    """A request line and header section that passed the gate."""

    method: str
    target: str
    """The request-target as received (RFC 9112, 3.2), visible ASCII."""
    version: str
    """"1.1" or "1.0"."""
    section: bytes
    """The header section as received: field lines, each with its CRLF; `fields` takes it apart."""
    framing: Framing = dataclasses.field(default=Framing.NONE, init=False)
    length: int = dataclasses.field(default=0, init=False)
    """The Content-Length where `framing` is LENGTH."""
    keep_alive: bool = dataclasses.field(default=True, init=False)
    """Whether the client lets the connection be used again (RFC 9112, 9.3)."""
    expect_continue: bool = dataclasses.field(default=False, init=False)
    """Whether the client waits for 100 (Continue) before it sends the body (RFC 9110, 10.1.1)."""
    upgrade: tuple[str, ...] = dataclasses.field(default=(), init=False)
    """The protocols of the Upgrade field, lower-case, where Connection names it too (RFC 9110, 7.8)."""
    host: bytes = dataclasses.field(default=b"", init=False)
    """The value of the Host field, of a simple head only (see `simple`)."""
    watched: tuple[bytes | None, ...] | None = dataclasses.field(default=None, init=False)
    """The values of the watched fields of a simple head, in their order; None where it is not simple."""

    @property
    def fields(self) -> RawFields:
        """The field lines in order: names as received, values without surrounding white space."""
        return split_fields(self.section)


@dataclasses.dataclass(slots=True)  # not frozen, which takes longer to make
class Data:
    """A piece of the body, decoded."""

    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """The end of a request that has a body, with its trailer fields."""

    trailers: RawFields = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """The bytes are no request this server takes; nothing after them on the connection can be trusted."""

    status: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Http2Preface(Refused):
    """The connection begins as one of HTTP/2 (RFC 9113, 3.4): a refusal, unless somebody goes on with it."""

    data: bytes = dataclasses.field(compare=False)
    """All that has come so far: the one thing that depends on how the bytes were split."""


Event = RequestHead | Data | End | Refused
