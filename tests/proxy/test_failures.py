"""What a client notices of a server that is dead, breaks off or is overloaded: as little as possible."""

from __future__ import annotations

import asyncio
import json

import pytest

from stack.matrix.client import connected, fetch
from stack.matrix.programs import Program
from tests.proxy.upstream import Upstream

SAFE = ["GET", "HEAD", "OPTIONS"]
UNSAFE = ["POST", "PUT", "PATCH", "DELETE"]


async def test_without_an_application_there_is_a_page_that_says_when_to_try_again(
    proxy: Program, upstream: Upstream
) -> None:
    await upstream.stop()
    browser, program = await asyncio.gather(
        fetch(proxy.port, "/", [("Accept", "text/html,application/xhtml+xml"), ("X-Request-Id", "lost-1")]),
        fetch(proxy.port, "/", [("Accept", "*/*"), ("X-Request-Id", "lost-1")]),
    )
    await upstream.start()
    for answer in (browser, program):
        assert answer.status in (502, 503)
        assert answer.one("retry-after") == "5"
        assert answer.one("cache-control") == "no-store"
        assert answer.one("x-request-id") == "lost-1"
    assert browser.one("content-type") == "text/html; charset=utf-8"
    assert b"<h1>Application unavailable</h1>" in browser.body
    assert (program.one("content-type") or "").startswith("application/problem+json")
    assert json.loads(program.body)["title"] == "Application unavailable"


async def test_so_is_it_for_requests_that_change_something(proxy: Program, upstream: Upstream) -> None:
    await upstream.stop()
    answers = await asyncio.gather(*(fetch(proxy.port, method=method) for method in UNSAFE))
    await upstream.start()
    for answer in answers:
        assert answer.status in (502, 503)
        assert answer.one("retry-after") == "5"
        assert (answer.one("content-type") or "").startswith("application/problem+json")


async def test_the_page_is_not_for_clients_to_ask_for(proxy: Program, upstream: Upstream) -> None:
    answer = await fetch(proxy.port, "/.proxy-502/unavailable.json")
    assert answer.status in (403, 404) or answer.body == str(upstream.port).encode()


async def test_the_application_is_used_again_as_soon_as_it_is_back(
    proxy: Program, upstream: Upstream
) -> None:
    assert (await fetch(proxy.port)).status == 200
    await upstream.stop()
    assert (await fetch(proxy.port)).status in (502, 503)
    await upstream.start()
    assert (await fetch(proxy.port)).status == 200


async def test_what_the_application_says_of_its_own_overload_passes(
    proxy: Program, upstream: Upstream
) -> None:
    answer = await fetch(proxy.port, "/busy")
    assert (answer.status, answer.one("retry-after")) == (503, "77")
    assert answer.body == str(upstream.port).encode()
    assert len(upstream.seen) == 1, "asking again would double the load"


async def test_requests_are_spread_over_the_servers(
    pair: Program, upstream: Upstream, second: Upstream
) -> None:
    for _ in range(40):
        assert (await fetch(pair.port)).status == 200
    assert len(upstream.seen) >= 5
    assert len(second.seen) >= 5


async def test_a_dead_server_is_not_noticed(pair: Program, upstream: Upstream, second: Upstream) -> None:
    for _ in range(10):
        await fetch(pair.port)  # so that connections to both are pooled
    await second.stop()
    for method in ("GET", "POST", "GET", "PATCH", "HEAD"):
        for _ in range(4):
            assert (await fetch(pair.port, method=method)).status == 200, method
    await second.start()


@pytest.mark.parametrize("method", UNSAFE)
async def test_a_request_that_may_have_been_done_is_not_sent_again(
    pair: Program, upstream: Upstream, second: Upstream, method: str
) -> None:
    answer = await fetch(pair.port, "/break", method=method)
    assert answer.status == 502
    assert len(upstream.seen) + len(second.seen) == 1


@pytest.mark.parametrize("method", SAFE)
async def test_a_safe_request_is_sent_again_when_a_server_breaks_off(
    pair: Program, upstream: Upstream, second: Upstream, method: str
) -> None:
    upstream.breaking = True
    statuses = [(await fetch(pair.port, method=method)).status for _ in range(12)]
    assert upstream.seen, "it was asked"
    if pair.name == "apache":  # it repeats a request only if no connection could be made
        assert set(statuses) <= {200, 502}
    else:
        assert set(statuses) == {200}


async def test_connections_to_the_application_are_kept(proxy: Program, upstream: Upstream) -> None:
    async def client() -> None:
        for method in ["GET", "POST"] * 5:
            assert (await fetch(proxy.port, method=method)).status == 200

    await asyncio.gather(*(client() for _ in range(8)))
    assert len(upstream.seen) == 80
    used = {seen.connection for seen in upstream.seen}  # others are health checks, which go on
    assert len(used) <= 24, "8 at a time, and some more as the processes of a proxy share none"


@pytest.mark.parametrize("method", SAFE)
async def test_a_pooled_connection_that_went_stale_is_not_noticed(
    proxy: Program, upstream: Upstream, method: str
) -> None:
    async with connected(proxy.port) as client:
        assert (await client.request()).status == 200
        await upstream.stop()
        await upstream.start()
        assert (await client.request(method=method)).status == 200


async def test_a_reload_brings_in_another_server(
    proxy: Program, upstream: Upstream, second: Upstream
) -> None:
    assert (await fetch(proxy.port)).status == 200  # a program still starting up is not what is reloaded
    proxy.upstreams = [upstream.port, second.port]
    await proxy.reload()
    async with asyncio.timeout(60):
        while not second.seen:
            assert (await fetch(proxy.port)).status == 200
