"""The form in a real Chromium, served over https as EHRs launch it, beside an EHR of the tests' own."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from werkzeug.serving import make_server

from hooks.application import create_app
from hooks.reference import samples
from hooks.settings import Settings
from tests import browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask
    from selenium.webdriver.remote.webelement import WebElement

DAY = "2026-11-22"
PATIENCE_S = 30


def certificate(folder: Path) -> tuple[str, str]:
    """Write a certificate for this machine and its key; give their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(1))
        .not_valid_after(now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return str(paths[0]), str(paths[1])


def free_port() -> int:
    """Give a port nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def settings_for(port: int, base: str, **more: Any) -> Settings:
    """Give the settings of a site that offers the form over https."""
    told: dict[str, Any] = {
        "now": DAY,
        "fhir_servers": base,
        "smart_client_id": "oncobone-ask",
        "public_url": f"https://localhost:{port}",
    }
    return Settings.model_validate(told | more)


@contextmanager
def serving(app: Flask, port: int, folder: Path) -> Iterator[str]:
    """Serve an application over https."""
    server = make_server("127.0.0.1", port, app, threaded=True, ssl_context=certificate(folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def site(base: str, folder: Path, **more: Any) -> Iterator[tuple[str, Flask]]:
    """Serve a site that lists this FHIR base; give its address and its application."""
    port = free_port()
    app = create_app(settings_for(port, base, **more))
    with serving(app, port, folder) as url:
        yield url, app


@contextmanager
def chromium(folder: Path) -> Iterator[webdriver.Chrome]:
    """Give a fresh Chromium that takes the tests' own certificate."""
    binary, driver = browser.needed()
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*browser.FLAGS, "--ignore-certificate-errors", f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        running.set_page_load_timeout(PATIENCE_S)
        yield running
    finally:
        running.quit()


class Form:
    """The form as a person uses it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def until(self, what: Any) -> Any:
        """Wait until something is there."""
        odd = [StaleElementReferenceException, NoSuchElementException]
        return WebDriverWait(self.driver, PATIENCE_S, poll_frequency=0.05, ignored_exceptions=odd).until(
            lambda _: what()
        )

    def find(self, css: str) -> WebElement:
        """Give an element, waiting for it."""
        found: WebElement = self.until(lambda: self.driver.find_element(By.CSS_SELECTOR, css))
        return found

    def ready(self) -> None:
        """Wait until the questions are there."""
        self.until(lambda: self.driver.find_element(By.ID, "work").is_displayed() or self.trouble())

    def trouble(self) -> str:
        """Give the refusal that is shown, if any."""
        shown = self.driver.find_elements(By.ID, "trouble")
        return shown[0].text if shown and shown[0].is_displayed() else ""

    def refusal(self) -> str:
        """Wait for a refusal and give its words."""
        text: str = self.until(self.trouble)
        return text

    def click(self, element: WebElement) -> None:
        """Click, with the element in the middle of the window, as a person has it."""
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def open_more(self) -> None:
        """Unfold the questions that are not shown at once."""
        for one in self.driver.find_elements(By.CSS_SELECTOR, "details.more:not([open]) > summary"):
            self.click(one)

    def field(self, item: str) -> WebElement:
        """Give the question of an item."""
        return self.find(f'fieldset[data-item="{item}"]')

    def choose(self, item: str, value: str) -> None:
        """Choose one of the offered answers."""
        self.open_more()
        self.field(item)
        self.click(self.find(f'fieldset[data-item="{item}"] input[value="{value}"]'))

    def type(self, item: str, value: str) -> None:
        """Type a number or a day."""
        self.open_more()
        box = self.find(f'fieldset[data-item="{item}"] .entry input:not([type="checkbox"])')
        box.clear()
        box.send_keys(value)

    def changes(self) -> str:
        """Give what the answers change, as shown now."""
        return self.find("#changes").text

    def save(self) -> None:
        """Save, and wait until it is over."""
        self.until(lambda: self.driver.find_element(By.ID, "save").is_enabled())
        self.click(self.find("#save"))
        self.saved()

    def saved(self) -> None:
        """Wait until a saving is over."""
        self.until(
            lambda: (
                self.driver.find_element(By.ID, "results").is_displayed()
                and not self.driver.find_elements(By.CSS_SELECTOR, "#outcomes [data-state='waiting']")
                and self.driver.find_element(By.ID, "state").text == ""
            )
        )

    def outcomes(self) -> list[tuple[str, str]]:
        """Give state and reason of each row of the result."""
        rows = self.driver.find_elements(By.CSS_SELECTOR, "#outcomes li")
        return [(row.get_attribute("data-state") or "", row.get_attribute("data-why") or "") for row in rows]

    def complaints(self) -> list[str]:
        """Give what the browser itself complained about, failed requests apart."""
        told: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call] # selenium's own
        return [one["message"] for one in told if "Failed to load resource" not in one["message"]]


def sample(name: str) -> list[dict[str, Any]]:
    """Give the resources of a sample patient."""
    return [json.loads(json.dumps(one)) for one in next(s for s in samples.samples() if s.name == name).resources]
