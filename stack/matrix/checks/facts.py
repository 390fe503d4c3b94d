"""Who asked, and for which host: what the proxy saw reaches the application, what a client claims never."""

from __future__ import annotations

import functools

from stack.matrix.check import Differs, check
from stack.matrix.target import Target

GROUP = "Who asked"
LIES = ("6.6.6.6", "evil")
# Each field that some server somewhere believes, and a lie in it.
SPOOFED = {
    "Forwarded": "for=6.6.6.6;proto=https;host=evil.example",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Ssl": "on; evil",
    "X-Forwarded-Scheme": "https",
    "X-Forwarded-Client-Cert": "Subject=evil",
    "X-Real-IP": "6.6.6.6",
    "X_Forwarded_For": "6.6.6.6",
    "X-Original-URL": "/evil",
    "X-Rewrite-URL": "/evil",
    "Client-IP": "6.6.6.6",
    "True-Client-IP": "6.6.6.6",
    "Front-End-Https": "on; evil",
    "Proxy": "evil.example:666",
}
# What the server itself removes, whoever sends it.
REMOVED = ("Forwarded", "X-Forwarded", "X-Real-IP", "X_Forwarded", "Proxy")


@check(GROUP, "the client's address, the scheme and the host", "the client, http, the host")
async def client_facts(target: Target) -> str:
    """Ask honestly."""
    facts = await target.seen()
    client = "the client" if facts["client"] in target.clients else facts["client"]
    host = "the host" if facts["host"] == target.host else facts["host"]
    return f"{client}, {facts['scheme']}, {host}"


async def spoofed(field: str, target: Target) -> str:
    """Lie in one field; tell whether the application heard of it."""
    facts = await target.seen(fields=[(field, SPOOFED[field])])
    believed = [
        name
        for name, right in (
            ("client", facts["client"] in target.clients),
            ("scheme", facts["scheme"] == "http"),
            ("host", facts["host"] == target.host),
            ("prefix", facts["root_path"] == ""),
        )
        if not right
    ]
    assert not believed, f"{', '.join(believed)} believed: {facts}"
    heard = [
        value for _, value in facts["headers"] if value == SPOOFED[field] or any(lie in value for lie in LIES)
    ]
    if heard and not field.startswith(REMOVED):
        return "passed on, not believed"
    assert not heard, heard
    return "removed"


PASSED_ON = Differs(
    "passed on, not believed", "the server removes what it might believe; this is nothing to it"
)
for name, lie in SPOOFED.items():
    check(
        GROUP,
        f"a client that claims `{name}: {lie}`",
        "removed",
        differs={} if name.startswith(REMOVED) else {"direct": PASSED_ON},
        name=f"spoofed-{name.lower().replace('_', '-underscore-')}",
    )(functools.partial(spoofed, name))


@check(GROUP, "a client that has fields removed by naming them in Connection", "kept")
async def connection_names(target: Target) -> str:
    """Name fields that are the proxy's to set (RFC 9110, 7.6.1)."""
    names = "close, Host, X-Request-Id, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Cookie"
    facts = await target.seen(fields=[("Connection", names), ("X-Request-Id", "kept-1")])
    right = facts["client"] in target.clients and facts["host"] == target.host and facts["request_id"]
    return "kept" if right else str(facts)


@check(GROUP, "Upgrade: h2c is not passed on", "not upgraded, 200")
async def h2c(target: Target) -> str:
    """Ask for another protocol, to speak past the proxy."""
    fields = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    ]
    answer = await target.fetch("/seen", fields)
    return f"not upgraded, {answer.status}"


@check(
    GROUP,
    "a request id that is harmless is kept",
    "kept",
    differs={"direct": Differs("replaced", "the server takes a request id from a trusted proxy only")},
)
async def request_id_kept(target: Target) -> str:
    """Send one."""
    found = (await target.seen(fields=[("X-Request-Id", "mine-1.2")]))["request_id"]
    return "kept" if found == "mine-1.2" else "replaced"


@check(GROUP, "one that could forge a line in a log is replaced", "replaced")
async def request_id_replaced(target: Target) -> str:
    """Send one with quotes, and one that is too long."""
    for value in ('"} {"', "x" * 300):
        found = (await target.seen(fields=[("X-Request-Id", value)]))["request_id"]
        assert found
        assert found != value, found
    return "replaced"


@check(GROUP, "a Host that nobody configured", "served, as it was sent")
async def unknown_host(target: Target) -> str:
    """Name another host."""
    facts = await target.seen(host="unknown.example:8080")
    return "served, as it was sent" if facts["host"] == "unknown.example:8080" else facts["host"]


@check(
    GROUP, "an absolute target: its authority counts, not Host (RFC 9112, 3.2.2)", "inner.example, /seen?a"
)
async def absolute_form(target: Target) -> str:
    """Ask as one asks a proxy."""
    facts = await target.seen("http://inner.example/seen?a", host="outer.example")
    return f"{facts['host']}, {facts['target'].removeprefix('http://inner.example')}"


@check(GROUP, "no Host, and two", "400 400")
async def wrong_hosts(target: Target) -> str:
    """Leave it out, and send it twice."""
    end = "Connection: close\r\n\r\n"
    none = await target.status_of(f"GET /seen HTTP/1.1\r\n{end}".encode())
    two = await target.status_of(
        f"GET /seen HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n{end}".encode()
    )
    return f"{none} {two}"


@check(GROUP, "a Host that is no host: `a b`, `a/b`, `a@b`", "400 400 400")
async def malformed_host(target: Target) -> str:
    """Send what could be taken for something else."""
    found = []
    for host in ("a b", "a/b", "a@b"):
        found.append(
            await target.status_of(
                f"GET /seen HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
        )
    return " ".join(found)
