"""report.html is whole in itself, and can be read in a browser: light, dark, on a phone and on paper."""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from loadtest import results
from loadtest.report.drawing import PAGE, PAPER, as_png, as_svg
from loadtest.report.page import STYLE, as_html
from loadtest.report.plots import nines
from loadtest.report.sections import all_plots
from tests.loadtest.test_results import document, run, three

PLOTS = [
    *(f"read-{what}" for what in ("value", "latency", "cores", "cpu", "cost", "connections", "time")),
    "pool", "ramp-read", "fault-1",
]  # fmt: skip
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EMPTY = "There is no valid result to draw."


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """A report with something in every section; one target has a bad round, and a name that is HTML."""
    runs = [*three("direct", 200, 201, 199), *three("nginx", 100, 101, 99), *three("<b>", 50, 51)]
    runs.append(run("<b>", 3, 50, errors={"status": 3}, note="<script>alert(1)</script>"))
    for one in runs:
        one["series"] = [[0, 10, 0, 1000, 2000], [1, 12, 2, 1000, 9000], [2, 1, 0, 1000, 1000]]
        one["database"] = {"xact_commit": 400, "calls": 800, "exec_ms": 40.0, "blks_hit": 99, "blks_read": 1}
    made = document(*runs)
    made["settings"]["duration_s"] = 2
    made["command"] = "./kit bench --rounds 3"
    latency = {"p50": 1000, "p99": 2000}
    valid: dict[str, Any] = {"valid": True, "problems": [], "errors": {}, "latency_us": latency, "cpu_s": {}}
    place = {"scenario": "read", "target": "direct"}
    made["sweeps"] = [
        {**place, **valid, "by": "connections", "at": at, "requests_per_s": 100 * at} for at in (1, 4, 16)
    ]
    made["sweeps"].append({**made["sweeps"][0], "valid": False, "at": 64, "problems": ["errors: read 5"]})
    made["pool"] = [
        {**valid, "size": size, "round": turn, "connections": 8, "requests_per_s": 100 * min(size, 4) + turn}
        for turn in (1, 2, 3)
        for size in (1, 4, 16)
    ]
    series = [[second, 2 * second, 20 * second, 0, 1000, 5000 * second] for second in range(1, 6)]
    ramp = {"valid": True, "problems": [], "errors": {}, "started": made["started"], "users": 10}
    made["ramps"] = [{**place, **ramp, "series": series}]
    events = [[1.5, "a replica is killed: begins"], [2.5, "app-2 was killed"]]
    made["faults"] = [
        {
            "fault": "kill", "title": "a replica is killed", "rule": "no GET fails", "target": "nginx",
            "started": made["started"], "requests": 40, "failed": {"GET": 2}, "note": "",
            "series": [[0, 20, 0, 900, 2000], [1, 0, 0, 0, 0], [2, 20, 2, 1000, 70000]],
            "events": events, "passed": False, "problems": [],
        }
    ]  # fmt: skip
    return made


@pytest.fixture(scope="module")
def page(report: dict[str, Any]) -> str:
    """Its page."""
    return as_html(report)


def test_every_plot_is_drawn_and_its_colours_are_the_pages(report: dict[str, Any], page: str) -> None:
    found = all_plots(report)
    assert [plot.name for plot in found] == PLOTS
    for plot in found:
        assert f'<svg role="img" aria-label="{plot.title}. ' in page
        assert plot.about.endswith(".")
    assert page.count("var(--ink)") > len(PLOTS)
    assert not re.findall(r"#0f0e\w+", page)
    assert as_png(found[0]).startswith(b"\x89PNG")


def test_a_drawing_is_always_the_same(report: dict[str, Any]) -> None:
    plot = all_plots(report)[1]
    assert as_svg(plot) == as_svg(plot)
    assert as_png(plot) == as_png(plot)


def test_drawings_share_no_names(page: str) -> None:
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', page))
    assert used <= set(names)


def test_percentiles_are_as_far_apart_as_their_nines(page: str) -> None:
    assert [round(nines(share)) for share in (0.9, 0.99, 0.999)] == [1, 2, 3]
    assert re.search(r"<text[^>]*>99</text>", page)


def test_every_section_says_what_it_shows(page: str) -> None:
    for said in (
        "1 of 3 results are not valid and have no figures. 1 of 1 faults were not stood.",
        "read &lt;b&gt;: errors: status 3",
        "read, highest rate first: direct, then nginx",
        "What each proxy costs",
        "Not drawn: direct with connections 64: errors: read 5.",
        "no lack of processor time",
        "No pool is shown to be faster than that of 4, by ratios of the same round.",
        "100 with 10 users",
        "0 of 1 were stood.",
        "<figcaption>a replica is killed: nginx</figcaption>",
        "% from memory",
        "<span>./kit bench</span> <span>--rounds 3</span>",
        "The highest p99 of a second is 70.0 ms.",
        "99.0",
        "./kit bench",
    ):
        assert said in page, said


def test_tables_can_be_read_aloud(page: str) -> None:
    tables = re.findall(r"<table.*?</table>", page, flags=re.DOTALL)
    assert len(tables) == 8
    for table in tables:
        assert "<caption>" in table
        heads = re.findall(r'<th role="columnheader" scope="col"', table)
        for row in re.findall(r"<tr role=\"row\"[^>]*><th role=\"rowheader\".*?</tr>", table):
            assert len(re.findall(r"<t[hd] ", row)) == len(heads)


def interrupted(made: dict[str, Any]) -> None:
    """Ctrl-C before the second target's turn."""
    made["complete"] = False
    made["runs"] = [one for one in made["runs"] if one["target"] == "direct"][:1]
    for part in ("sweeps", "pool", "ramps", "faults"):
        made[part] = []


def nothing(made: dict[str, Any]) -> None:
    """Ctrl-C before anything was measured."""
    interrupted(made)
    made["runs"] = []


def one_target(made: dict[str, Any]) -> None:
    """Only the application itself."""
    made["targets"] = {"direct": made["targets"]["direct"]}
    made["pool"] = made["ramps"] = made["faults"] = []
    made["runs"] = [one for one in made["runs"] if one["target"] == "direct"]


def all_invalid(made: dict[str, Any]) -> None:
    """Errors everywhere."""
    for part in ("runs", "sweeps", "pool", "ramps"):
        for one in made[part]:
            one |= {"valid": False, "problems": ["errors: status 1"]}


def of_an_old_version(made: dict[str, Any]) -> None:
    """Without the parts that came later."""
    made["faults"] = []
    for part in ("pool", "ramps"):
        del made[part]
    for one in made["runs"]:
        del one["database"]


@pytest.mark.parametrize(
    ("happened", "said", "never"),
    [
        (interrupted, "Interrupted: this is what had been measured until then. 2 of 3 were not run.", EMPTY),
        (nothing, EMPTY, "<svg"),
        (one_target, "no ranking, because direct is the only valid target", 'id="costs"'),
        (all_invalid, "No result is valid, so there are no figures.", "no lack of processor time"),
        (of_an_old_version, "read, highest rate first: direct, then nginx", "What PostgreSQL counted"),
    ],
)
def test_a_report_that_lacks_something_says_so(
    happened: Callable[[dict[str, Any]], None], said: str, never: str, report: dict[str, Any]
) -> None:
    made = copy.deepcopy(report)
    happened(made)
    results.conclude(made)
    page = as_html(made)
    assert said in page
    assert never not in page
    assert "How it was made" in page


def test_what_others_wrote_is_text(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.2): 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_lines_stand_out_from_their_ground() -> None:
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", STYLE.read_text(encoding="utf-8"), re.DOTALL)[:2]
    )
    for colours in (light, dark):
        for text, ground in (("ink", "paper"), ("ink", "card"), ("quiet", "paper"), ("quiet", "card"),
                             ("link", "paper"), ("bad", "bad-card"), ("good", "good-card")):  # fmt: skip
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for name, colour in colours.items():
            if name.startswith(("series", "role")):
                assert contrast(colour, colours["card"]) >= 3, name
    # What is drawn for paper has the page's colours.
    assert [*PAPER.series, *PAPER.roles] == [
        light[name] for name in light if name.startswith(("series", "role"))
    ]
    assert (len(PAPER.series), len(PAPER.roles)) == (len(PAGE.series), len(PAGE.roles))


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
def test_a_browser_shows_it(browser: Browser, page: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    grounds = []
    for scheme, width in (("light", 1280), ("dark", 360)):
        context = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 800}
        )
        shown = context.new_page()
        requested: list[str] = []
        complaints: list[str] = []
        shown.on("request", noting(requested, "url"))
        shown.on("console", noting(complaints, "text"))
        shown.on("pageerror", noting(complaints, "message"))
        shown.goto(file.as_uri())
        assert requested == [file.as_uri()]
        assert complaints == []
        assert shown.get_by_role("img").count() == len(PLOTS)
        assert shown.get_by_role("table", name="Results of each scenario and target").count() == 1
        assert shown.get_by_role("rowheader", name="nginx").count() > 1
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert cut_off(shown) == []
        grounds.append(shown.evaluate("getComputedStyle(document.body).backgroundColor"))
        # A drawing takes its colours from the page, and its text is large enough to be read on a phone.
        label = shown.locator("svg[role=img] text").first
        ink = shown.evaluate("getComputedStyle(document.body).color")
        assert label.evaluate("element => getComputedStyle(element).fill") == ink
        box = label.bounding_box()
        assert box is not None
        assert box["height"] >= 9
        if scheme == "light":
            assert shown.pdf(format="A4").startswith(b"%PDF")
        context.close()
    assert grounds[0] == "rgb(255, 255, 255)"
    assert grounds[1] != grounds[0]


def cut_off(shown: Page) -> list[str]:
    """The texts of drawings that are not wholly inside of their drawing."""
    found: list[str] = shown.evaluate(
        """() => [...document.querySelectorAll("svg[role=img] text")].filter(text => {
            const own = text.getBoundingClientRect();
            const all = text.closest("svg[role=img]").getBoundingClientRect();
            return own.left < all.left - 2 || own.right > all.right + 2
                || own.top < all.top - 2 || own.bottom > all.bottom + 2;
        }).map(text => text.textContent)"""
    )
    return found
