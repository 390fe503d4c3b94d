"""The requests of the contract: each one gets the same answer, whatever way it takes."""

from __future__ import annotations

import dataclasses

from tests.contract.behaviour import ALL_BYTES, large
from tests.contract.wire import Ask

__all__ = ["CASES", "Case"]

LARGE = large()
FORM = b"name=Ada+Lovelace&born=1815"
BOUNDARY = "----boundary"
FORM_DATA = f"multipart/form-data; boundary={BOUNDARY}"
UPLOAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode() + ALL_BYTES + f"\r\n--{BOUNDARY}--\r\n".encode()  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Case:
    """One request."""

    name: str
    ask: Ask


def get(target: str, *fields: tuple[str, str], method: str = "GET") -> Ask:
    return Ask(method, target, fields)


def send(
    target: str,
    body: bytes,
    kind: str = "text/plain",
    method: str = "POST",
    *,
    chunked: bool = False,
    expects: bool = False,
) -> Ask:
    return Ask(method, target, [("Content-Type", kind)], body, chunked, expects)


CASES = [
    Case("the root", get("/")),
    Case("text", get("/text")),
    Case("every byte", get("/bytes")),
    Case("a large body", get("/large")),
    Case("a body in pieces", get("/stream")),
    Case("no body", get("/empty")),
    Case("HEAD", get("/text", method="HEAD")),
    Case("HEAD of a large body", get("/large", method="HEAD")),
    Case("HEAD of a body in pieces", get("/stream", method="HEAD")),
    Case("201", get("/status/201")),
    Case("204", get("/no-content")),
    Case("206", get("/part")),
    Case("301", get("/moved")),
    Case("302 to a path", get("/redirect")),
    Case("304", get("/tag", ("If-None-Match", '"abc"'))),
    Case("a tag that does not match", get("/tag", ("If-None-Match", '"abd"'))),
    Case("400", get("/status/400")),
    Case("404", get("/status/404")),
    Case("410", get("/status/410")),
    Case("418 with a problem", get("/problem")),
    Case("422", get("/status/422")),
    Case("500", get("/status/500")),
    Case("503 with Retry-After", get("/status/503")),
    Case("two cookies set", get("/cookies")),
    Case("a field twice in the response", get("/twice")),
    Case("a field that is not ASCII", get("/latin")),
    Case("cookies sent", get("/cookie", ("Cookie", "a=1; b=two"))),
    Case("Basic credentials", get("/login", ("Authorization", "Basic YWRhOnNlY3JldA=="))),
    Case("a field of the request", get("/field", ("X-Asked", "this, and that"))),
    Case("a field twice in the request", get("/field", ("X-Asked", "one"), ("X-Asked", "two"))),
    Case("a field without a value", get("/field", ("X-Asked", ""))),
    Case("a Proxy field", get("/proxy", ("Proxy", "http://evil.example"))),
    Case("the client", get("/client")),
    Case("the scheme", get("/scheme")),
    Case("a query", get("/query?a=1&b=%20x+y&a=2&c")),
    Case("an empty query", get("/query?")),
    Case("a query with a question mark", get("/query?a=?b&c=/../d")),
    Case("a path with a space", get("/path/a%20b")),
    Case("a path that is not ASCII", get("/path/%C3%A9t%C3%A9")),
    Case("a path with an encoded slash", get("/path/a%2Fb")),
    Case("a path with an encoded percent sign", get("/path/100%25")),
    Case("a path with two slashes", get("/path//a//b")),
    Case("a path with a semicolon", get("/path/a;b=c,d")),
    Case("a small body", send("/echo", b"hello")),
    Case("a body of every byte", send("/echo", ALL_BYTES, "application/octet-stream")),
    Case("a large body sent", send("/digest", LARGE, "application/octet-stream")),
    Case("a large body there and back", send("/echo", LARGE, "application/octet-stream")),
    Case("a form", send("/echo", FORM, "application/x-www-form-urlencoded")),
    Case("an upload", send("/echo", UPLOAD, FORM_DATA)),
    Case("the length of a body", send("/length", b"hello")),
    Case("the type of a body", send("/type", b"{}", "application/json; charset=utf-8")),
    Case("a body in chunks", send("/echo", b"hello", chunked=True)),
    Case("a body in no chunks", send("/echo", b"", chunked=True)),
    Case("a large body in chunks", send("/digest", LARGE, "application/octet-stream", chunked=True)),
    Case("a large body in chunks there and back", send("/echo", LARGE, chunked=True)),
    Case(
        "an upload in chunks",
        send("/echo", UPLOAD, f"multipart/form-data; boundary={BOUNDARY}", chunked=True),
    ),
    Case("a body that waits for 100", send("/echo", b"hello", expects=True)),
    Case("a large body that waits for 100", send("/digest", LARGE, expects=True)),
    Case("chunks that wait for 100", send("/echo", UPLOAD, chunked=True, expects=True)),
    Case("a POST without a body", get("/method", ("Content-Length", "0"), method="POST")),
    Case("PUT", send("/echo", b"put", method="PUT")),
    Case("PATCH", send("/echo", b"patch", method="PATCH")),
    Case("DELETE", get("/method", method="DELETE")),
    Case("OPTIONS", get("/method", method="OPTIONS")),
    Case("REPORT", get("/method", method="REPORT")),
]
