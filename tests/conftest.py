"""A real server for the tests that talk HTTP, and the rule that nothing is skipped where everything is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from hooks.store.store import Store, open_store
from tests import postgres
from tests.wire import DAY, SERVICE_OF, check_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

ROOT = Path(__file__).parent.parent
START_S = 60
NEVER_SKIPPED = ("browser", "database")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With `CI` set, a browser or database test that skips itself fails: there everything must be there."""
    report = yield
    never = any(item.get_closest_marker(name) for name in NEVER_SKIPPED)
    if report.skipped and never and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"must not be skipped when CI is set: {reason}"
    return report


@dataclass
class Server:
    """One running server; every answer that passes through here is held against the rules for all answers."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET a path."""
        return self.request("GET", path, **options)

    def call(self, body: Any, service: str | None = None, **options: Any) -> requests.Response:
        """Call the service for the body's hook."""
        return self.request("POST", f"/cds-services/{service or SERVICE_OF[body['hook']]}", json=body, **options)

    def send(self, body: bytes, service: str = "oncobone-patient-view", **headers: str) -> requests.Response:
        """POST bytes as they are."""
        sent = {"Content-Type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
        return self.request("POST", f"/cds-services/{service}", data=body, headers=sent)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send any request."""
        response = self.session.request(method, self.url + path, timeout=30, **options)
        if response.content and not _is_for_people(path, response):
            check_answer(response)
        return response

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Stop it; give its exit code."""
        self.session.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=30)


def _is_for_people(path: str, response: requests.Response) -> bool:
    """Pages and metrics are not JSON, and a schema may be empty; nothing of CDS Hooks and no refusal is among them."""
    pages = {"/", "/rules", "/metrics", "/openapi.json"}
    return response.status_code == 200 and (path in pages or path.startswith("/rules/"))


def environment(**settings: str) -> dict[str, str]:
    """The environment of a command under test: this one's, without settings of ours but those given."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ONCOBONE_")}
    paths = [str(ROOT), *filter(None, [inherited.get("PYTHONPATH")])]
    return inherited | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"} | settings


@pytest.fixture
def day_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a command run in this process: no settings of ours but the day."""
    for name in list(os.environ):
        if name.startswith("ONCOBONE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ONCOBONE_NOW", DAY)


def oncobone(*arguments: str) -> list[str]:
    """The command, run by this Python."""
    return [sys.executable, "-c", "from hooks.tools.cli import main; main(prog_name='oncobone')", *arguments]


def start(arguments: tuple[str, ...], settings: dict[str, str], folder: Path) -> Server:
    """Start a server and wait until it says where it answers."""
    settings = {
        "ONCOBONE_NOW": DAY,
        "ONCOBONE_PORT": "0",
        "ONCOBONE_QUIET_DAYS": "0",  # one server answers many tests about the same patient
        "ONCOBONE_DATABASE_URL": f"sqlite:///{folder / 'oncobone.sqlite'}",
    } | settings
    log = folder / f"log-{uuid.uuid4().hex}.jsonl"
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own command
            oncobone("serve", *arguments),
            env=environment(**settings),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.readline().decode()
    if not said:
        process.wait(timeout=START_S)
        raise AssertionError(f"the server did not start: {log.read_text(encoding='utf-8')}")
    server = Server(said.split()[-1].removesuffix("/cds-services"), process, log)
    server.session.trust_env = False
    return server


def wait_until(what: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that only ask."""
    running = start((), {}, tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers with settings of their own; all are stopped afterwards."""
    started: list[Server] = []

    def starter(*arguments: str, **settings: str) -> Server:
        started.append(start(arguments, settings, tmp_path))
        return started[-1]

    yield starter
    for running in started:
        running.stop()


# --- databases ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL of the tests' own."""
    postgres.needed()
    running = postgres.Cluster()
    try:
        running.start()
        yield running
    finally:
        running.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'oncobone.sqlite'}"
    running: postgres.Cluster = request.getfixturevalue("cluster")
    return running.fresh(f"t{uuid.uuid4().hex}")


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store on each engine."""
    opened = open_store(database_url, audit_key_file=tmp_path / "key")
    yield opened
    opened.close()
