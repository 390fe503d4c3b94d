"""Everyday requests: an example's own, and how its answers come back."""

from __future__ import annotations

import json
import secrets

from stack.matrix.check import Differs, check
from stack.matrix.client import Answer
from stack.matrix.target import Target, ask

GROUP = "Everyday requests"
JSON = [("Content-Type", "application/json")]


async def send(target: Target, method: str, path: str, data: object = None) -> Answer:
    """Send a request with JSON, if there is data."""
    body = None if data is None else json.dumps(data).encode()
    return await target.fetch(path, JSON if body else [], method=method, body=body)


@check(GROUP, "create, read, replace, change and delete (`examples/simple`)", "201 200 200 200 204 404")
async def crud(target: Target) -> str:
    """Do what every example does."""
    email = f"{secrets.token_hex(8)}@example.org"
    created = await send(target, "POST", "/simple/users", {"name": "Ada", "email": email})
    path = created.one("location") or "/nowhere"
    answers = [
        created,
        await send(target, "GET", path),
        await send(target, "PUT", path, {"name": "Ada L", "email": email}),
        await send(target, "PATCH", path, {"name": "Ada Lovelace"}),
        await send(target, "DELETE", path),
        await send(target, "GET", path),
    ]
    assert json.loads(answers[1].body)["email"] == email
    assert json.loads(answers[3].body)["name"] == "Ada Lovelace"
    return " ".join(str(answer.status) for answer in answers)


@check(
    GROUP, "the application's own errors, as problem+json: 404, 405 with Allow, 415, 422", "404 405 415 422"
)
async def problems(target: Target) -> str:
    """Make the mistakes that clients make."""
    wrong = await target.fetch("/simple/users", [("Content-Type", "text/csv")], method="POST", body=b"a,b")
    answers = [
        await send(target, "GET", "/simple/users/0"),
        await send(target, "DELETE", "/simple/users"),
        wrong,
        await send(target, "POST", "/simple/users", {"name": ""}),
    ]
    assert all(
        (answer.one("content-type") or "").startswith("application/problem+json") for answer in answers
    )
    assert "POST" in (answers[1].one("allow") or "")
    return " ".join(str(answer.status) for answer in answers)


@check(GROUP, "every method arrives: GET, POST, PUT, PATCH, DELETE, OPTIONS, PROPFIND", "as sent")
async def methods(target: Target) -> str:
    """Use methods that proxies may know or not."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
        facts = await target.seen(method=method)
        assert facts["method"] == method, facts["method"]
    return "as sent"


@check(GROUP, "HEAD: the fields of GET, and no body", "200, its length, no body")
async def head(target: Target) -> str:
    """Ask for the head of what has a known length."""
    answer = await target.fetch("/file", method="HEAD")
    assert answer.body == b""
    return (
        f"{answer.status}, {'its length' if answer.one('content-length') == '1001' else 'no length'}, no body"
    )


@check(GROUP, "several requests on one connection", "one connection")
async def keep_alive(target: Target) -> str:
    """Send requests of several kinds one after the other."""
    async with target.connected() as connection:
        for method, body in (("GET", None), ("POST", b"abc"), ("HEAD", None), ("PUT", b""), ("GET", None)):
            answer = await ask(connection, "/seen", (), method=method, body=body, host=target.host)
            assert answer.status == 200
            assert (answer.one("connection") or "").lower() != "close", method
    return "one connection"


@check(GROUP, "pipelined requests: the answers come in their order", "in order")
async def pipelining(target: Target) -> str:
    """Send three requests in one write."""
    request = "GET /status/{} HTTP/1.1\r\nHost: example.org\r\n{}\r\n"
    data = request.format(202, "") + request.format(203, "") + request.format(404, "Connection: close\r\n")
    answers = await target.raw(data.encode())
    assert [answer.split(b" ", 2)[1] for answer in answers] == [b"202", b"203", b"404"], answers
    return "in order"


@check(GROUP, "HTTP/1.0 without Host", "200, closed")
async def http_1_0(target: Target) -> str:
    """Ask as very old programs do."""
    answers = await target.raw(b"GET /seen HTTP/1.0\r\n\r\n")
    return f"{answers[0].split(b' ', 2)[1].decode()}, closed" if answers else "closed"


@check(GROUP, "a streamed answer to HTTP/1.0: not chunked, ended by the close", "whole, not chunked")
async def http_1_0_stream(target: Target) -> str:
    """Ask for something of unknown length without knowing chunks."""
    (answer,) = await target.raw(b"GET /pieces?count=2 HTTP/1.0\r\nHost: example.org\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower(), head
    return "whole, not chunked" if body.count(b"\n") == 2 else f"{body!r}"


@check(GROUP, "the application's own 503 and its Retry-After pass as they are", "own 503, Retry-After: 77")
async def own_errors(target: Target) -> str:
    """Have the application say that it is overloaded."""
    answer = await target.fetch("/status/503")
    assert answer.body == b"own 503\n", answer.body
    assert answer.all("x-own") == ["yes"]
    return f"own 503, Retry-After: {answer.one('retry-after')}"


@check(GROUP, "fields that come several times stay several: Set-Cookie", "two cookies")
async def cookies(target: Target) -> str:
    """Have two cookies set."""
    answer = await target.fetch("/fields")
    values = sorted(value.partition(";")[0] for value in answer.all("set-cookie"))
    return "two cookies" if values == ["a=1", "b=2"] else str(values)


@check(
    GROUP,
    "the Server field that the client sees",
    "the application's",
    differs={
        "nginx": Differs(
            "nginx", "nginx puts its own name there; `proxy_pass_header Server;` passes the application's"
        )
    },
)
async def server_field(target: Target) -> str:
    """Look who claims to have answered."""
    answer = await target.fetch("/fields")
    return "the application's" if answer.one("server") == "pierhead" else str(answer.one("server"))


@check(
    GROUP,
    "the Via field (RFC 9110, 7.6.3) that the client sees",
    "none",
    differs={"caddy": Differs("1.1 Caddy", "a proxy should name itself; nginx and Apache leave it out")},
)
async def via(target: Target) -> str:
    """Look whether the proxy names itself."""
    return (await target.fetch("/fields")).one("via") or "none"


@check(GROUP, "a redirect to a path stays a path", "/seen?redirected")
async def redirect(target: Target) -> str:
    """Follow the application somewhere else."""
    answer = await target.fetch("/redirect")
    return answer.one("location") or "none"


@check(
    GROUP,
    "security headers are added, and the application's own are kept",
    "added and kept",
    differs={"direct": Differs("kept", "the server adds none by itself")},
)
async def security_headers(target: Target) -> str:
    """Look at the headers of an answer without and with its own."""
    plain, own = await target.fetch("/seen"), await target.fetch("/secured")
    if plain.all("x-frame-options") == []:
        return "kept" if own.all("x-frame-options") == ["DENY"] else "lost"
    assert plain.one("x-content-type-options") == "nosniff"
    assert (own.one("x-frame-options"), own.one("referrer-policy")) == ("DENY", "no-referrer")
    return "added and kept"
