"""The example sse in real processes and a real browser: several replicas, proxies, reloads."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, JSHandle, Page, Route, expect

from tests.browser import TIMEOUT_MS, opened_browser, opened_page
from tests.examples.processes import ExampleServer

STATES = """() => {
    const state = document.getElementById("state"), states = [state.value];
    new MutationObserver(() => states.push(state.value)).observe(state, {childList: true, subtree: true});
    return states;
}"""


def send(url: str, text: str) -> None:
    """Send a notification."""
    host, _, prefix = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=60)
    body = json.dumps({"text": text})
    connection.request("POST", f"/{prefix}notification", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 202, response.read()
    connection.close()


class Follower:
    """One client of the stream; `texts` yields what it is told until the stream ends."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.request("GET", "/sse")
        self.response = self.connection.getresponse()
        while not self.response.readline().startswith(b"id: "):
            pass

    def texts(self) -> Iterator[str]:
        """Yield texts; returns at a clean end, and raises at any other."""
        while line := self.response.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])["text"]


@contextmanager
def followers(*servers: ExampleServer, each: int) -> Iterator[list[Follower]]:
    """Connect to each server: several times, so that each of its workers has one, or nearly so."""
    found = [Follower(server.port) for server in servers for _ in range(each)]
    try:
        yield found
    finally:
        for follower in found:
            follower.connection.close()


def test_clients_of_all_workers_of_all_replicas_are_told(database_url: str) -> None:
    with (
        ExampleServer("sse", database_url) as one,
        ExampleServer("sse", database_url) as two,
        followers(one, two, each=5) as found,
    ):
        send(f"{one.url}/", "from the first")
        send(f"{two.url}/", "from the second")
        for follower in found:
            texts = follower.texts()
            assert [next(texts), next(texts)] == ["from the first", "from the second"]


def test_a_stop_ends_streams_cleanly_and_waits_for_none(database_url: str) -> None:
    with ExampleServer("sse", database_url) as server, followers(server, each=4) as found:
        send(f"{server.url}/", "the last one")
        heard = [follower.texts() for follower in found]
        assert [next(texts) for texts in heard] == ["the last one"] * 4
        start = time.monotonic()
        server.stop()
        assert time.monotonic() - start < 28  # it may drain for 30 s, and has no reason to
        assert [list(texts) for texts in heard] == [[]] * 4


# In a browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with opened_browser() as browser:
        yield browser


async def connected(page: Page) -> None:
    """Wait until the page follows the stream."""
    await expect(page.locator("#state")).to_have_text("connected", timeout=TIMEOUT_MS)


async def states_of(page: Page) -> JSHandle:
    """Return the states that the page is in from now on: some do not last."""
    return await page.evaluate_handle(STATES)


async def reconnects(page: Page, states: JSHandle) -> None:
    """Wait until the page has noticed that its stream ended."""
    await page.wait_for_function("states => states.includes('reconnecting')", arg=states, timeout=TIMEOUT_MS)


async def shown(page: Page) -> list[str]:
    """Return what the page shows, the oldest first."""
    return [text.strip() for text in await page.locator("#list li").all_text_contents()][::-1]


@pytest.mark.browser
@pytest.mark.apache
async def test_pages_behind_all_proxies_see_what_any_of_them_sends(
    stack: dict[str, Any], browser: Browser
) -> None:
    routes = ("app", "caddy", "nginx", "apache")
    async with AsyncExitStack() as opened:
        pages = [
            await opened.enter_async_context(opened_page(browser, f"{stack[route]['url']}/sse/"))
            for route in routes
        ]
        for page in pages:
            await connected(page)
        for page, route in zip(pages, routes, strict=True):
            await page.fill("#text", f"from {route}: <b>&amp;</b>")
            await page.click("button")
            for other in pages:
                await expect(other.locator("#list li").first).to_have_text(
                    f"from {route}: <b>&amp;</b>", timeout=TIMEOUT_MS
                )


@pytest.mark.browser
async def test_a_page_misses_nothing_while_workers_are_replaced(database_url: str, browser: Browser) -> None:
    sent: list[str] = []
    with ExampleServer("sse", database_url) as server:
        async with opened_page(browser, f"{server.url}/") as page:
            await connected(page)
            states = await states_of(page)
            await asyncio.to_thread(server.reload)  # before it has seen any event: it has an id all the same
            await reconnects(page, states)
            sent.append("number 0")
            await asyncio.to_thread(send, f"{server.url}/", sent[-1])
            await connected(page)
            reloading = asyncio.create_task(asyncio.to_thread(server.reload))
            while not reloading.done():  # before, during and after: the page is away for about a second
                sent.append(f"number {len(sent)}")
                await asyncio.to_thread(send, f"{server.url}/", sent[-1])
                await asyncio.sleep(0.05)  # fewer, while the page is away, than are kept
            await reloading
            await expect(page.locator("#list li").first).to_have_text(sent[-1], timeout=TIMEOUT_MS)
            assert await shown(page) == sent


@pytest.mark.browser
async def test_a_page_whose_event_source_gave_up_makes_a_new_one(database_url: str, browser: Browser) -> None:
    refused = 0

    async def unavailable(route: Route) -> None:
        nonlocal refused
        refused += 1
        await route.fulfill(status=503)

    with ExampleServer("sse", database_url) as server:
        async with opened_page(browser, f"{server.url}/") as page:
            await connected(page)
            send(f"{server.url}/", "before")
            await expect(page.locator("#list li").first).to_have_text("before", timeout=TIMEOUT_MS)
            await page.route("**/sse*", unavailable, times=1)
            states = await states_of(page)
            await asyncio.to_thread(server.reload)
            await reconnects(page, states)
            send(f"{server.url}/", "meanwhile")
            await expect(page.locator("#list li").first).to_have_text("meanwhile", timeout=TIMEOUT_MS)
            assert await shown(page) == ["before", "meanwhile"]
            assert refused == 1
