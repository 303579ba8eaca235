"""A real Chromium for the console's tests: one browser, steered step by step, and what it complained about."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver.remote.webelement import WebElement

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--disable-background-networking",
    "--window-size=1200,1200",
)
PATIENCE_S = 20
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
"""axe-core 4.14.1, unchanged, under the Mozilla Public License 2.0 (its own header says so)."""


def findings(driver: webdriver.Chrome) -> list[str]:
    """What axe finds wrong on the page as it is now."""
    driver.execute_script(AXE.read_text(encoding="utf-8"))
    told = driver.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run({resultTypes: ['violations']}).then(done)"
    )
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}" for one in told["violations"]]


def needed() -> tuple[str, str]:
    """Give Chromium and its driver; skip, saying why, where they are not (with `CI` set that is a failure)."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no Chromium with chromedriver here: install them (Debian: chromium, chromium-driver)")
    return browser, driver


class Console:
    """The console in the browser."""

    def __init__(self, driver: webdriver.Chrome, base: str) -> None:
        self.driver = driver
        self.base = base

    def _wait(self) -> WebDriverWait[webdriver.Chrome]:
        return WebDriverWait(
            self.driver, PATIENCE_S, poll_frequency=0.03, ignored_exceptions=[StaleElementReferenceException]
        )

    def open(self, path: str = "/", language: str = "en") -> None:
        """Open a page; the console has then told its first story."""
        self.driver.get(f"{self.base}{path}?lang={language}")
        if path == "/":
            self.find("#call[data-ready]")

    def find(self, css: str) -> WebElement:
        """Give the first element of a kind, waiting for it."""
        return self._wait().until(lambda driver: driver.find_element(By.CSS_SELECTOR, css))

    def all(self, css: str) -> list[WebElement]:
        """Give all elements of a kind that are there now."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def arrive(self, path: str) -> None:
        """Wait until the page of a path is there."""

        def there(driver: webdriver.Chrome) -> bool:
            ready = driver.execute_script("return location.pathname + ' ' + document.readyState")
            return bool(ready == f"{path} complete")

        self._wait().until(there)

    def run(self, script: str) -> object:
        """Run a script in the page, as a test may (the page's policy holds for the page)."""
        found: object = self.driver.execute_script(script)
        return found

    def until(self, what: Callable[[], object]) -> None:
        """Wait until something is so."""
        self._wait().until(lambda _: what())

    def wait_for(self, css: str, text: str = "") -> str:
        """Wait until an element says something; give what it says."""

        def said(driver: webdriver.Chrome) -> str:
            return next((each.text for each in driver.find_elements(By.CSS_SELECTOR, css) if text in each.text), "")

        return self._wait().until(said)

    def choose(self, name: str, hook: str = "") -> None:
        """Choose a sample patient and a hook."""
        Select(self.find("#sample")).select_by_value(name)
        Select(self.find("#hook")).select_by_value(hook)

    def fire(self, name: str | None = None, hook: str = "") -> list[str]:
        """Fire at the real endpoint and wait for the result; give the indicators of the cards, in order."""
        self.run("document.getElementById('result').replaceChildren()")
        if name is not None:
            self.choose(name, hook)
        self.find("#fire").click()
        return self.cards()

    def cards(self) -> list[str]:
        """Wait for the result; give the indicators of the cards, in order."""
        self.find("#result-heading")
        return [str(card.get_attribute("class")).split()[2] for card in self.all("#result > .card")]

    def requests(self) -> list[str]:
        """Give the addresses of everything that the page has loaded."""
        found = self.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert isinstance(found, list)
        return [str(each) for each in found]

    def complaints(self) -> list[str]:
        """Give what stood in the browser's console since the last look: errors, policy violations."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call] # selenium has no types for it

    @contextmanager
    def phone(self, width: int = 375, height: int = 740) -> Iterator[None]:
        """Look through a phone."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@contextmanager
def browsing(base: str) -> Iterator[Console]:
    """A browser, for as long as it is needed."""
    chromium, driver = needed()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.set_capability("unhandledPromptBehavior", "ignore")  # an alert stays, and the test sees it
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Console(running, base)
    finally:
        running.quit()
