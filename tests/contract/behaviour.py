"""One application, as a function of what was asked; each interface has it called in its own way.

It is of the standard library alone: one of the interfaces starts a program with it for each request.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote

__all__ = ["Asked", "Said", "answer"]

ALL_BYTES = bytes(range(256))
LARGE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(10_000))  # 320 kB
PIECES = tuple(b"piece %03d\n" % number for number in range(200))
TEXT = [("Content-Type", "text/plain; charset=utf-8")]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What an interface tells an application."""

    method: str
    path: str
    """Decoded."""
    query: str
    fields: list[tuple[str, str]]
    body: bytes
    client: str
    scheme: str

    def field(self, name: str) -> str:
        """Return the values of all fields of a name, joined."""
        return ", ".join(value for key, value in self.fields if key.lower() == name.lower())


@dataclasses.dataclass(frozen=True)
class Said:
    """What an application answers; several pieces come one after the other, without a length."""

    status: int
    fields: list[tuple[str, str]]
    pieces: Iterable[bytes]
    streamed: bool = False


def text(body: str, status: int = 200, *fields: tuple[str, str]) -> Said:
    return Said(status, [*TEXT, *fields], [body.encode()])


def answer(asked: Asked) -> Said:
    """Answer by the first part of the path."""
    name, _, rest = asked.path.strip("/").partition("/")
    if name == "status":
        extra = [("Retry-After", "7")] if rest == "503" else []
        return text(f"this is {rest}", int(rest), *extra)
    if name == "bytes":
        return Said(200, [("Content-Type", "application/octet-stream")], [ALL_BYTES])
    if name == "large":
        return Said(200, [("Content-Type", "application/octet-stream")], [LARGE])
    if name == "stream":
        return Said(200, TEXT, PIECES, streamed=True)
    if name == "empty":
        return text("")
    if name == "no-content":
        return Said(204, [("X-Why", "nothing to say")], [])
    if name == "tag":
        if asked.field("If-None-Match") == '"abc"':
            return Said(304, [("ETag", '"abc"')], [])
        return text("tagged", 200, ("ETag", '"abc"'), ("Cache-Control", "max-age=60"))
    if name == "part":
        return text("part", 206, ("Content-Range", "bytes 0-3/10"))
    if name == "redirect":
        return text("there", 302, ("Location", "/text"))
    if name == "moved":
        return text("there", 301, ("Location", "http://example.org/text?a=b"))
    if name == "cookies":
        return text("two", 200, ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; HttpOnly"))
    if name == "twice":
        return text("twice", 200, ("X-Twice", "one"), ("X-Twice", "two"))
    if name == "latin":
        return text("latin", 200, ("X-Latin", "caf\xe9"))
    if name == "problem":
        body = b'{"type":"about:blank","title":"Teapot","status":418}'
        return Said(418, [("Content-Type", "application/problem+json")], [body])
    if name == "echo":
        return Said(
            200, [("Content-Type", asked.field("Content-Type") or "application/x-none")], [asked.body]
        )
    return text(_told(name, asked))


def _told(name: str, asked: Asked) -> str:
    """Return what was asked, in text."""
    if name == "query":
        return f"{asked.query} {parse_qsl(asked.query, keep_blank_values=True)}"
    if name == "cookie":
        return repr([pair.partition("=")[::2] for pair in asked.field("Cookie").split("; ")])
    if name == "login":
        return base64.b64decode(asked.field("Authorization").removeprefix("Basic ")).decode()
    if name == "field":
        return asked.field("X-Asked")
    if name == "length":
        return f"{asked.field('Content-Length')} {len(asked.body)}"
    told = {
        "text": "plain",
        "method": asked.method,
        "path": unquote(asked.path),
        "host": asked.field("Host"),
        "client": asked.client,
        "scheme": asked.scheme,
        "proxy": asked.field("Proxy") or "no Proxy field",
        "digest": hashlib.sha256(asked.body).hexdigest(),
        "type": asked.field("Content-Type"),
    }
    return told.get(name, "the root")
