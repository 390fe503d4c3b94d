"""The example websocket in real processes and a real browser: several replicas, proxies, reloads."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser import TIMEOUT_MS, opened_browser, opened_page
from tests.examples.processes import ExampleServer
from tests.kit import eventually

NOTED_CODES = """() => {
    const codes = [];
    socket.addEventListener("close", event => codes.push(event.code));
    return codes;
}"""
TALK = """url => new Promise(resolve => {
    const socket = new WebSocket(url);
    const heard = [];
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { socket.send("Grüße"); socket.send(new Uint8Array([0, 255])); };
    socket.onmessage = event => {
        heard.push(typeof event.data === "string" ? event.data : [...new Uint8Array(event.data)].join());
        if (heard.length === 2) socket.close(4001, "enough");
    };
    socket.onclose = event => resolve([...heard, event.code, event.reason, event.wasClean]);
})"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with opened_browser() as browser:
        yield browser


async def enter(page: Page, name: str, room: str) -> None:
    """Enter a room by the page's form."""
    await page.fill("#name", name)
    await page.fill("#room", room)
    await page.click("#door button")
    await expect(page.locator("#state")).to_have_text("inside", timeout=TIMEOUT_MS)


async def say(page: Page, text: str) -> None:
    """Say something by the page's form."""
    await page.fill("#text", text)
    await page.click("#say")


async def shows(page: Page, text: str) -> None:
    """Wait until the page shows a line."""
    await expect(page.locator("#list li", has_text=text)).to_have_count(1, timeout=TIMEOUT_MS)


async def lines(page: Page) -> list[str]:
    """Return what was said, without who came and went."""
    return [text.strip() for text in await page.locator("#list li:not(.note)").all_text_contents()]


@pytest.mark.browser
@pytest.mark.apache
async def test_pages_behind_all_proxies_are_in_one_room(stack: dict[str, Any], browser: Browser) -> None:
    routes = ("app", "caddy", "nginx", "apache")
    async with AsyncExitStack() as opened:
        pages = [
            await opened.enter_async_context(opened_page(browser, f"{stack[route]['url']}/websocket/"))
            for route in routes
        ]
        for page, route in zip(pages, routes, strict=True):
            await enter(page, route, "proxies")
            for earlier in pages[: pages.index(page)]:
                await shows(earlier, f"{route} joined")
        for page, route in zip(pages, routes, strict=True):
            await say(page, "Grüße <b>&amp;</b>")
            for other in pages:
                await shows(other, f"{route}: Grüße <b>&amp;</b>")
        heard = [await lines(page) for page in pages]
        assert heard[1:] == heard[:1] * 3  # in one order


@pytest.mark.browser
async def test_a_room_spans_replicas_and_pages_come_back_after_a_reload(
    database_url: str, browser: Browser
) -> None:
    with ExampleServer("websocket", database_url) as one, ExampleServer("websocket", database_url) as two:
        async with (
            opened_page(browser, f"{one.url}/") as ada,
            opened_page(browser, f"{two.url}/") as bob,
        ):
            await enter(ada, "ada", "reload")
            await enter(bob, "bob", "reload")
            await say(ada, "before")
            await shows(bob, "ada: before")
            codes = await ada.evaluate_handle(NOTED_CODES)
            await asyncio.to_thread(one.reload)
            await shows(bob, "ada left")
            await expect(bob.locator("li", has_text="ada joined")).to_have_count(1, timeout=TIMEOUT_MS)
            assert await codes.json_value() == [1012]
            await expect(ada.locator("#state")).to_have_text("inside", timeout=TIMEOUT_MS)
            await say(bob, "after")
            await shows(ada, "bob: after")

            two.process.send_signal(signal.SIGTERM)  # a stop is another code, and the page keeps trying
            await expect(bob.locator("#state")).to_contain_text("coming back", timeout=TIMEOUT_MS)
            eventually(lambda: two.process.poll() == 0, "no WebSocket holds the stop up")


@pytest.mark.browser
async def test_the_echo_is_for_pages_of_its_own_site(database_url: str, browser: Browser) -> None:
    with ExampleServer("websocket", database_url) as server:
        async with opened_page(browser, f"{server.url}/") as page:
            own, other = (f"ws://{host}:{server.port}/echo" for host in ("127.0.0.1", "localhost"))
            assert await page.evaluate(TALK, own) == ["Grüße", "0,255", 4001, "enough", True]
            assert await page.evaluate(TALK, other) == [1006, "", False]  # 403: browsers do not say so
