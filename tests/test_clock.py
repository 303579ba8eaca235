"""A server whose clock is wrong, or jumps while it runs: who is let in, and that no age is ever below nought."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from hooks.trust.keys import new_key, public_jwk
from tests.conftest import environment, oncobone, start
from tests.floors import measured
from tests.wire import call_body

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from tests.conftest import Server

PUBLIC, ISSUER = "https://cds.example.org", "https://ehr.example.org"
CALL = "/cds-services/oncobone-patient-view"
KEY = new_key("ES384")
NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
DAY_S = 24 * 3600


def library() -> str:
    """The library that lies to a process about the time; skips the test where there is none, and fails it in CI."""
    found = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if found is None:
        reason = "libfaketime is not installed on this machine"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return str(found)


class Clocked:
    """A server in signed mode and the clock that it believes in; ours stands at noon of the test's day, and goes on."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._began = time.time()
        self.set(0)
        (folder / "keys.json").write_text(json.dumps({"keys": [public_jwk(KEY, "ES384", "k1")]}), encoding="utf-8")
        config = folder / "oncobone.toml"
        config.write_text(
            f'auth = "signed"\npublic_url = "{PUBLIC}"\naudit_key_file = "{folder / "audit-key"}"\n'
            f'[[clients]]\nissuer = "{ISSUER}"\nkeys_file = "{folder / "keys.json"}"\n',
            encoding="utf-8",
        )
        self.settings = {"ONCOBONE_CONFIG": str(config), "ONCOBONE_NOW": "", "ONCOBONE_TIMEZONE": "UTC"}
        lies = {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # no setting of a clock moves that one
            "NO_FAKE_STAT": "1",
        }
        self.server: Server = start((), self.settings | lies, folder)

    def now(self) -> float:
        """Seconds since 1970 by our clock."""
        return NOON.timestamp() + time.time() - self._began

    def set(self, ahead_s: float) -> None:
        """Let the server's clock be so far ahead of ours (negative: behind)."""
        offset = NOON.timestamp() - self._began + ahead_s
        written = self._file.with_suffix(".new")
        written.write_text(f"{offset:+.3f}\n", encoding="ascii")
        written.replace(self._file)

    def post(self, path: str, body: Any, *, by_its_clock_s: float = 0) -> requests.Response:
        """Send a request with a fresh token, made at our time or so much later."""
        at = int(self.now() + by_its_clock_s)
        claims = {"iss": ISSUER, "aud": PUBLIC + path, "iat": at, "exp": at + 300, "jti": str(uuid.uuid4())}
        token = jwt.encode(claims, KEY, algorithm="ES384", headers={"kid": "k1", "typ": "JWT"})
        return self.server.request("POST", path, json=body, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clocked]:
    library()
    made = Clocked(tmp_path_factory.mktemp("clock"))
    yield made
    made.server.stop()


@pytest.fixture
def right(clocked: Clocked) -> Clocked:
    """The server, its clock set right."""
    clocked.set(0)
    return clocked


@pytest.mark.parametrize(("ahead_s", "status"), [(0, 200), (55, 200), (-55, 200), (600, 401), (-600, 401)])
def test_clocks_may_differ_by_a_minute_and_not_by_ten(right: Clocked, ahead_s: int, status: int) -> None:
    right.set(ahead_s)
    answered = right.post(CALL, call_body()).status_code
    measured(f"a clock that is {ahead_s} s ahead: {answered}")
    assert answered == status


@pytest.mark.parametrize("ahead_s", [-3600, -DAY_S, -30 * DAY_S, 30 * DAY_S], ids=["hour", "day", "month", "ahead"])
def test_a_clock_that_jumps_breaks_no_call_and_makes_no_age_below_nought(right: Clocked, ahead_s: int) -> None:
    def body() -> dict[str, Any]:
        return call_body(hookInstance=str(uuid.uuid4()))

    assert right.post(CALL, body()).status_code == 200
    right.set(ahead_s)
    answered = [right.post(CALL, body(), by_its_clock_s=ahead_s) for _ in range(3)]
    assert [each.status_code for each in answered] == [200] * 3
    for each in answered:
        assert not re.search(r"(?<![\d–-])[-−]\d+ (?:days|months|years)", each.text)
    card = answered[0].json()["cards"][0]["uuid"]
    entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
    stored = right.post(f"{CALL}/feedback", {"feedback": [entry]}, by_its_clock_s=ahead_s)
    assert stored.status_code == 200
    right.set(0)
    assert right.post(CALL, body()).status_code == 200
    assert all(line["ms"] >= 0 for line in right.server.lines() if line["event"] == "request")


def test_a_result_of_a_day_to_come_is_not_used_and_is_named(right: Clocked) -> None:
    assert "future" not in right.post(CALL, call_body()).text
    right.set(-30 * DAY_S)  # all results of the call are of days that this clock has not seen
    answered = right.post(CALL, call_body(), by_its_clock_s=-30 * DAY_S)
    assert "future" in answered.text


def test_the_audit_record_is_whole_after_all_these_jumps(right: Clocked) -> None:
    assert right.post(CALL, call_body(hookInstance=str(uuid.uuid4()))).status_code == 200
    database = {"ONCOBONE_DATABASE_URL": f"sqlite:///{right.server.log.parent / 'oncobone.sqlite'}"}
    verified = subprocess.run(  # noqa: S603 - our own command
        oncobone("audit", "verify"),
        env=environment(**right.settings, **database),
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
