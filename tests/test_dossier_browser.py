"""The pages in a real Chromium: wide, narrow, light, dark, in both languages, on paper, and looked at by axe."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hooks.reference import samples
from tests import browser
from tests.conftest import start
from tests.test_dossier import heavy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser import Console
    from tests.conftest import Server

pytestmark = pytest.mark.browser

WIDTHS = (1280, 390)
PAPER = {"preferCSSPageSize": True, "printBackground": False}
SEEN = ("femur-and-cord", "smouldering-high-risk", "lung-denosumab-low-calcium", "zoledronic-order-crcl-45")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Server]:
    browser.needed()
    running = start((), {}, folder)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def console(service: Server) -> Iterator[Console]:
    with browser.browsing(service.url) as found:
        yield found


def opened(console: Console, request: dict[str, Any], language: str = "en") -> None:
    """Open the dossier of a request as a page."""
    console.open("/", language)
    console.driver.execute_script(
        "const form = document.getElementById('to-dossier'); form.elements.request.value = arguments[0];form.submit();",
        json.dumps(request),
    )
    console.arrive("/console/dossier")


def look(console: Console, *, width: int, dark: bool) -> None:
    """Look through a window of this width, in the light or in the dark."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    console.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    console.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def findings(console: Console) -> list[str]:
    """What axe finds wrong on the page as it is now."""
    return browser.findings(console.driver)


def too_wide(console: Console) -> object:
    """What needs sideways scrolling: the page, or anything in it that is cut off."""
    return console.run(
        "return document.documentElement.scrollWidth > innerWidth ?"
        " [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map((e) => e.outerHTML.slice(0, 80)).slice(0, 5) : []"
    )


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("name", SEEN[:2])
def test_a_dossier_is_seen_wide_and_narrow_light_and_dark(
    console: Console, folder: Path, name: str, language: str
) -> None:
    opened(console, samples.request_for(name), language)
    for width in WIDTHS:
        for dark in (False, True):
            look(console, width=width, dark=dark)
            assert too_wide(console) == []
            shown = [axis.is_displayed() for axis in console.all("#time svg.drawn")]
            assert shown == [width > 700, width < 700], "one of the two axes is shown"
            told = console.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
            picture = folder / f"{name}-{language}-{width}-{'dark' if dark else 'light'}.png"
            picture.write_bytes(base64.b64decode(told["data"]))
            assert picture.stat().st_size > 20_000
            console.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert too_wide(console) == []
            assert findings(console) == []
            console.run("document.querySelectorAll('#rules details').forEach((each) => { each.open = false; })")
    assert all(url.startswith(console.base) for url in console.requests()), "no request leaves the origin"


@pytest.mark.parametrize("path", ["/", "/rules", "/rules/DOSE-003", "/rules/MM-001"])
def test_the_other_pages_are_without_findings_too(console: Console, path: str) -> None:
    for language in ("en", "zh-CN"):
        console.open(path, language)
        for width in WIDTHS:
            for dark in (False, True):
                look(console, width=width, dark=dark)
                assert too_wide(console) == []
                assert findings(console) == []


def test_a_fired_console_is_without_findings(console: Console) -> None:
    look(console, width=1280, dark=False)
    console.open("/")
    console.fire("zoledronic-order-crcl-45")
    console.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert findings(console) == []
    look(console, width=390, dark=True)
    assert too_wide(console) == []
    assert findings(console) == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_dossier_is_printed_on_two_pages(console: Console, folder: Path, language: str) -> None:
    look(console, width=1280, dark=False)
    for name, request in [(name, samples.request_for(name)) for name in SEEN] + [("heavy", heavy())]:
        opened(console, request, language)
        told = console.driver.execute_cdp_cmd("Page.printToPDF", PAPER)
        paper = base64.b64decode(told["data"])
        (folder / f"{name}-{language}.pdf").write_bytes(paper)
        assert len(re.findall(rb"/Type\s*/Page[^s]", paper)) <= 2, name


def test_the_keyboard_ring_is_seen_everywhere(console: Console) -> None:
    """A ring of 3 px, whose colour stands out from the page at least 3:1, in the light and in the dark."""
    for dark in (False, True):
        look(console, width=1280, dark=dark)
        console.open("/rules/DOSE-003")
        ring, page = console.driver.execute_script(
            "const link = document.querySelector('main a'); link.focus({focusVisible: true});"
            "return [getComputedStyle(link).outlineColor, getComputedStyle(document.body).backgroundColor]"
        )
        assert contrast(ring, page) >= 3
        width = console.run("return getComputedStyle(document.querySelector('main a')).outlineWidth")
        assert width == "3px"


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as the Web Content Accessibility Guidelines count it."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


SOON_MS = 300
TRIES = 6
TIMES_A_SMALL_PAGE = 6
"""A quiet machine paints a rule's page in 50 ms; on a crowded one both take longer, by the same factor."""


@pytest.mark.soak
def test_pages_come_compressed_and_are_painted_soon(console: Console) -> None:
    """The best of a few looks, in turn with a page of one rule: the first warms what is kept."""
    look(console, width=1280, dark=False)
    painted: list[float] = []
    small: list[float] = []
    for _ in range(TRIES):
        opened(console, heavy())
        painted.append(first_paint(console))
        page = console.run(
            "const page = performance.getEntriesByType('navigation')[0];"
            "return {sent: page.transferSize, whole: page.decodedBodySize}"
        )
        assert isinstance(page, dict)
        assert page["sent"] < 400_000
        assert page["sent"] < page["whole"] / 3
        if painted[-1] < SOON_MS:
            return
        console.open("/rules/DOSE-003")
        small.append(first_paint(console))
    assert min(painted) < TIMES_A_SMALL_PAGE * min(small), (painted, small)


def first_paint(console: Console) -> float:
    """Wait until the first of the page is seen; give when that was, ms after it was asked for."""
    script = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
    console.until(lambda: console.run(script) is not None)
    return float(str(console.run(script)))


@pytest.mark.parametrize("path", ["/", "/rules", "/rules/DOSE-003", "/console/dossier"])
def test_no_request_of_a_page_leaves_its_origin(console: Console, path: str) -> None:
    if path == "/console/dossier":
        opened(console, samples.request_for("femur-and-cord"))
    else:
        console.open(path)
    asked = console.requests()
    assert asked, "its style sheet at least"
    assert all(url.startswith(console.base) for url in asked)
