"""A real browser for the examples' pages: Chromium as the system has it, without a window."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page, async_playwright

__all__ = ["TIMEOUT_MS", "opened_browser", "opened_page"]

TIMEOUT_MS = 40_000
"""How long a page may take: much longer than it does, the machine may be busy."""
PHONE_PX = 360  # the width of a small one


@asynccontextmanager
async def opened_browser() -> AsyncIterator[Browser]:
    """Start Chromium with a profile of its own; skip the test where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is not installed")
    arguments = ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    if os.name == "posix" and os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses to run as root with one
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened_page(browser: Browser, url: str) -> AsyncIterator[Page]:
    """Open a page; what it throws fails the test, and that a phone has to scroll sideways."""
    page = await browser.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.set_viewport_size({"width": PHONE_PX, "height": 640})
    await page.goto(url)
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE_PX
    await page.set_viewport_size({"width": 1280, "height": 720})
    try:
        yield page
    finally:
        await page.close()
    assert errors == []
