"""One application, as a function of what was asked; each interface has it called in its own way.

One of the interfaces starts a program with it for each request: so it imports nothing before it needs it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing would take longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ALL_BYTES", "Asked", "Said", "answer", "large"]

ALL_BYTES = bytes(range(256))
TEXT = [("Content-Type", "text/plain; charset=utf-8")]


class Asked:
    """What an interface tells an application; `path` is decoded."""

    def __init__(
        self,
        *,
        method: str,
        path: str,
        query: str,
        fields: list[tuple[str, str]],
        body: bytes,
        client: str,
        scheme: str,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.fields = fields
        self.body = body
        self.client = client
        self.scheme = scheme

    def field(self, name: str) -> str:
        """Return the values of all fields of a name, joined."""
        return ", ".join(value for key, value in self.fields if key.lower() == name.lower())


class Said:
    """What an application answers; several pieces come one after the other, without a length."""

    def __init__(
        self, status: int, fields: list[tuple[str, str]], pieces: Iterable[bytes], *, streamed: bool = False
    ) -> None:
        self.status = status
        self.fields = fields
        self.pieces = pieces
        self.streamed = streamed


def large() -> bytes:
    """Return a body of 320 kB."""
    return b"".join(b"%015d\n" % number for number in range(20_000))


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
        return Said(200, [("Content-Type", "application/octet-stream")], [large()])
    if name == "stream":
        return Said(200, TEXT, [b"piece %03d\n" % number for number in range(200)], streamed=True)
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
        from urllib.parse import parse_qsl

        return f"{asked.query} {parse_qsl(asked.query, keep_blank_values=True)}"
    if name == "cookie":
        return repr([pair.partition("=")[::2] for pair in asked.field("Cookie").split("; ")])
    if name == "login":
        import binascii

        return binascii.a2b_base64(asked.field("Authorization").removeprefix("Basic ")).decode()
    if name == "digest":
        import hashlib

        return hashlib.sha256(asked.body).hexdigest()
    told = {
        "text": "plain",
        "method": asked.method,
        "path": asked.path,
        "host": asked.field("Host"),
        "client": asked.client,
        "scheme": asked.scheme,
        "field": asked.field("X-Asked"),
        "length": f"{asked.field('Content-Length')} {len(asked.body)}",
        "proxy": asked.field("Proxy") or "no Proxy field",
        "type": asked.field("Content-Type"),
    }
    return told.get(name, "the root")
