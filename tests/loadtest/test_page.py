"""report.html is whole in itself, and can be read in a browser: light, dark, on a phone and on paper."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from loadtest import plots
from loadtest.page import as_html
from tests.loadtest.test_results import document, run, three

PLOTS = ("value", "latency", "cpu", "time", "rates", "p99s")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """A report with two targets, one of which has a bad round in one scenario, and a name that is HTML."""
    runs = [*three("direct", 200, 201, 199), *three("nginx", 100, 101, 99), *three("<b>", 50, 51)]
    runs.append(run("<b>", 3, 50, errors={"status": 3}, note="<script>alert(1)</script>"))
    runs[0]["series"] = [[0, 10, 0], [1, 12, 2], [2, 1, 0]]
    made = document(*runs)
    for at in (1, 4, 16):
        place = ("read", "direct", "connections", at)
        latency = {"p99": 1000 * at}
        made["sweeps"].append(
            dict(zip(("scenario", "target", "by", "at"), place, strict=True))
            | {"valid": True, "requests_per_s": 100 * at, "latency_us": latency}
        )
    return made


def test_every_plot_is_drawn_and_its_colours_are_the_pages(report: dict[str, Any]) -> None:
    found = plots.plots(report)
    assert [plot.name for plot in found] == [f"read-{what}" for what in PLOTS]
    for plot in found:
        svg = plots.as_svg(plot)
        assert svg.startswith('<svg role="img" aria-label="read: ')
        assert "var(--ink)" in svg
        assert "var(--series-" in svg
        assert not re.findall(r"#0f0e\w+", svg)
        assert plots.as_png(plot).startswith(b"\x89PNG")


def test_drawings_share_no_names(report: dict[str, Any]) -> None:
    names = re.findall(r'\bid="([^"]+)"', as_html(report))
    assert len(names) == len(set(names))
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', as_html(report)))
    assert used <= set(names)


def test_percentiles_are_as_far_apart_as_their_nines() -> None:
    assert [round(plots.nines(share)) for share in (0.9, 0.99, 0.999)] == [1, 2, 3]


def test_a_report_without_valid_results_says_so() -> None:
    page = as_html(document(run("direct", 1, 5, errors={"status": 1})))
    assert "There is no valid result to draw." in page
    assert "<svg" not in page


def test_what_others_wrote_is_text(report: dict[str, Any]) -> None:
    page = as_html(report)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, which starts once for all tests."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian, Ubuntu: package chromium)")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


def noting(seen: list[str], attribute: str) -> Callable[[object], None]:
    """Return what takes an event and notes an attribute of it."""
    return lambda event: seen.append(str(getattr(event, attribute)))


@pytest.mark.chromium
@pytest.mark.timeout(180)
def test_a_browser_shows_it(browser: Browser, report: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(as_html(report), encoding="utf-8")
    seen: dict[str, str] = {}
    for scheme, width in (("light", 1280), ("dark", 360)):
        context = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 800}
        )
        page = context.new_page()
        requested: list[str] = []
        complaints: list[str] = []
        page.on("request", noting(requested, "url"))
        page.on("console", noting(complaints, "text"))
        page.on("pageerror", noting(complaints, "message"))
        page.goto(file.as_uri())
        assert requested == [file.as_uri()]
        assert complaints == []
        assert page.locator("svg[role=img]").count() == len(PLOTS)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        seen[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        # A drawing takes its colours from the page, and its text is large enough to be read on a phone.
        label = page.locator("svg[role=img] text").first
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert label.evaluate("element => getComputedStyle(element).fill") == ink
        box = label.bounding_box()
        assert box is not None
        assert box["height"] >= 8
        if scheme == "light":
            assert page.pdf(format="A4").startswith(b"%PDF")
        context.close()
    assert seen["light"] == "rgb(255, 255, 255)"
    assert seen["dark"] != seen["light"]
