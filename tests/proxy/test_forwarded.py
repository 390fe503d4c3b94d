"""What the application is told about the client: what the proxy saw, never what the client claims."""

from __future__ import annotations

import json
import re

import pytest

from stack.matrix.client import Fields, connected, fetch
from stack.matrix.programs import Program
from tests.proxy.upstream import Upstream

SPOOFED: Fields = [
    ("Forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
    ("X-Forwarded", "for=6.6.6.6"),
    ("X-Forwarded-By", "evil.example"),
    ("X-Forwarded-Client-Cert", "Subject=evil"),
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-For", "7.7.7.7"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Path", "/evil"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Protocol", "https"),
    ("X-Forwarded-Scheme", "https"),
    ("X-Forwarded-Server", "evil.example"),
    ("X-Forwarded-Ssl", "on"),
    ("X-Forwarded-Uri", "/evil"),
    ("X-Forwarded-User", "root"),
    ("X_Forwarded_For", "6.6.6.6"),
    ("X_Forwarded_Host", "evil.example"),
    ("X_Forwarded_Proto", "https"),
    ("X-Real-IP", "6.6.6.6"),
    ("X_Real_IP", "6.6.6.6"),
    ("X-Client-IP", "6.6.6.6"),
    ("X-Cluster-Client-IP", "6.6.6.6"),
    ("X-Original-URL", "/evil"),
    ("X-Rewrite-URL", "/evil"),
    ("X-Url-Scheme", "https"),
    ("Client-IP", "6.6.6.6"),
    ("True-Client-IP", "6.6.6.6"),
    ("Front-End-Https", "on"),
    ("Proxy", "evil.example:666"),
    ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
]


def told(proxy: Program) -> dict[str, str]:
    """Return the fields that the proxy sets, for a request to example.org:8080."""
    return {
        "host": "example.org:8080",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "example.org:8080",
        "x-forwarded-port": str(proxy.port),
    }


async def test_the_application_is_told_who_asked(proxy: Program, upstream: Upstream) -> None:
    assert (await fetch(proxy.port)).status == 200
    assert {name: upstream.seen[0].one(name) for name in told(proxy)} == told(proxy)


async def test_a_client_cannot_claim_to_be_somebody_else(proxy: Program, upstream: Upstream) -> None:
    assert (await fetch(proxy.port, "/", SPOOFED)).status == 200
    seen = upstream.seen[0]
    expected = told(proxy)
    for name in {name.lower().replace("_", "-") for name, _ in SPOOFED}:
        assert seen.one(name) == expected.get(name), name
    assert not re.search(r"evil|6\.6\.6|7\.7\.7|https|666", repr(seen.fields)), seen.fields


async def test_a_client_cannot_have_the_facts_removed_as_hop_by_hop(
    proxy: Program, upstream: Upstream
) -> None:
    names = ", ".join(["close", "Host", "X-Request-Id", *told(proxy)])
    await fetch(proxy.port, "/", [("Connection", names)])
    assert {name: upstream.seen[0].one(name) for name in told(proxy)} == told(proxy)
    assert upstream.seen[0].one("x-request-id")


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0", "h2c, websocket", "websocket-x"])
async def test_only_websocket_may_upgrade(proxy: Program, upstream: Upstream, protocol: str) -> None:
    answer = await fetch(proxy.port, "/", [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", protocol)])
    assert answer.status == 200
    assert upstream.seen[0].all("upgrade") == []
    assert "upgrade" not in (upstream.seen[0].one("connection") or "").lower()


async def test_the_authority_of_an_absolute_target_counts(proxy: Program, upstream: Upstream) -> None:
    """RFC 9112, 3.2.2: a proxy ignores Host then."""
    await fetch(proxy.port, "http://example.org:8080/a%2Fb?c=%20d", host="evil.example")
    seen = upstream.seen[0]
    assert seen.target in ("/a%2Fb?c=%20d", "http://example.org:8080/a%2Fb?c=%20d")
    assert seen.one("host") == "example.org:8080"
    assert seen.one("x-forwarded-host") == "example.org:8080"


async def test_the_target_passes_as_it_came(proxy: Program, upstream: Upstream) -> None:
    targets = [
        "/a%2Fb",
        "/a//b",
        "/%7Euser",
        "/a/./b/../c",
        "/a%20b?x=%2f&y=a+b",
        "/caf%C3%A9",
        "/a;b=c",
        "/?",
    ]
    async with connected(proxy.port) as connection:
        for target in targets:
            for method in ("GET", "PUT"):
                assert (await connection.request(target, method=method)).status == 200
    assert [seen.target for seen in upstream.seen] == [target for target in targets for _ in range(2)]


async def test_a_request_id_is_made_where_there_is_none(proxy: Program, upstream: Upstream) -> None:
    async with connected(proxy.port) as connection:
        await connection.request()
        await connection.request()
    first, second = (seen.one("x-request-id") for seen in upstream.seen)
    assert first
    assert second
    assert first != second


async def test_a_request_id_is_kept_unless_it_could_do_harm(proxy: Program, upstream: Upstream) -> None:
    harmful = ["x" * 65, "with space", 'quote"', "{json}", ""]
    async with connected(proxy.port) as connection:
        await connection.request("/", [("X-Request-Id", "abc-123_4.5:6")])
        for value in harmful:
            await connection.request("/", [("X-Request-Id", value)])
    kept, *replaced = (seen.one("x-request-id") for seen in upstream.seen)
    assert kept == "abc-123_4.5:6"
    assert all(replaced)
    assert not set(replaced) & set(harmful)


async def test_the_access_log_names_the_request_and_hides_the_query(proxy: Program) -> None:
    fields = [("X-Request-Id", "logged-1"), ("User-Agent", 'a"b\\c'), ("Cookie", "session=hunter2")]
    await fetch(proxy.port, "/path?token=hunter2", fields)
    await proxy.stop()
    (line,) = proxy.access_log.read_text().splitlines()
    assert "logged-1" in line
    assert "/path" in line
    assert "hunter2" not in line
    if proxy.name != "apache":
        json.loads(line)
