"""
The scaled form of deploy/, started as a whole: what an EHR sees through it while things stop, die and come back.

Short by default; with ONCOBONE_SOAK=1 the loads last longer, with more sockets and more deaths.
"""

from __future__ import annotations

import configparser
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import time
import tomllib
import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest
import requests

from hooks.configuration import VARIABLES, load
from hooks.running.processes import SLACK_S
from hooks.settings import MIB, refuse_unsafe_start
from hooks.store.database import GRANTS
from hooks.watching.observability import FIELDS, Metrics
from tests import postgres
from tests.conftest import ROOT, environment, oncobone
from tests.floors import measured
from tests.site import CALL, DEPLOY, WORKERS, Load, Site, nginx, token, until
from tests.wire import call_body, check_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.database,
    pytest.mark.soak,
    pytest.mark.timeout(1800 if os.environ.get("ONCOBONE_SOAK") == "1" else 300),
    pytest.mark.xdist_group("deploy"),
]

SOAK = os.environ.get("ONCOBONE_SOAK") == "1"
SLOW_SOCKETS = 400 if SOAK else 60
DEATHS = 20 if SOAK else 2
RESTARTS = 5 if SOAK else 1
CANARY = "Zzyzx-mrn-8842011"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for all tests of this file; they run in their order, the record is looked at last."""
    postgres.needed()
    nginx()
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


# --- what an EHR sees -----------------------------------------------------------------------------------------


def test_a_signed_client_discovers_calls_and_gives_feedback_through_the_proxy(site: Site) -> None:
    offered = site.request("GET", "/cds-services").json()["services"]
    assert "oncobone-patient-view" in {each["id"] for each in offered}
    answered = site.call()
    assert answered.status_code == 200
    card = answered.json()["cards"][0]
    entry = {"card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
    assert site.request("POST", f"{CALL}/feedback", json={"feedback": [entry]}).status_code == 200
    unknown = entry | {"card": str(uuid.uuid4())}
    assert site.request("POST", f"{CALL}/feedback", json={"feedback": [unknown]}).status_code == 404


def test_without_a_token_or_with_a_used_one_nothing_is_told(site: Site) -> None:
    once = {"Authorization": f"Bearer {token(CALL)}"}
    assert site.request("POST", CALL, json=call_body(), headers=once, signed=False).status_code == 200
    again = [site.request("POST", CALL, json=call_body(), headers=once, signed=False) for _ in range(6)]
    assert {answered.status_code for answered in again} == {401}, "on whichever service and process it lands"
    refused = site.request("GET", "/cds-services", signed=False)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("path", ["/", "/metrics", "/readyz", "/healthz", "/console/view", "/cds-services-x", "/.env"])
def test_what_is_for_operators_cannot_be_reached_from_outside(site: Site, path: str) -> None:
    answered = site.request("GET", path, signed=False)
    assert answered.status_code == 404
    check_outcome(answered.json())
    assert all(service.get("/metrics").status_code == 200 for service in site.services.values())


def test_what_a_client_says_of_its_way_changes_nothing(site: Site) -> None:
    lies = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "for=127.0.0.1;host=evil.example",
        "X-Real-IP": "127.0.0.1",
        "X-Original-URL": "/metrics",
    }
    honest, lying = site.request("GET", "/cds-services"), site.request("GET", "/cds-services", headers=lies)
    assert lying.json() == honest.json()
    assert "evil" not in lying.text + str(lying.headers)
    assert site.request("GET", "/cds-services", headers=lies, signed=False).status_code == 401
    # A token for the name that the Host header claims opens nothing: the public address is a setting.
    wrong = {"Host": "evil.example", "Authorization": f"Bearer {token('', aud='https://evil.example/cds-services')}"}
    assert site.request("GET", "/cds-services", headers=wrong, signed=False).status_code == 401


def test_a_body_that_is_too_large_is_refused_by_us_and_beyond_that_by_the_proxy_in_the_same_shape(site: Site) -> None:
    for size in (16 * MIB + 1000, 19 * MIB):
        answered = site.request("POST", CALL, data=b" " * size, headers={"Content-Type": "application/json"})
        assert answered.status_code == 413
        check_outcome(answered.json())
    assert not any(path.is_file() for path in (site.folder / "bodies").rglob("*")), "no body stays on the disk"


def raw(site: Site) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(site.folder / "tls" / "fullchain.pem"))
    return context.wrap_socket(socket.create_connection(("127.0.0.1", site.port), 30), server_hostname="127.0.0.1")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /cds-services HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n", 400),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /cds-services HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"POST /cds-services/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /cds-services/x HTTP/1.1\r\nHost: x\r\nContent-Length: -4\r\n\r\n", 400),
        (b"POST /cds-services/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400),
        (b"GARBAGE\r\n\r\n", 400),
    ],
)
def test_odd_requests_are_refused_as_an_operation_outcome(site: Site, head: bytes, status: int) -> None:
    with raw(site) as connection:
        connection.sendall(head)
        answered = b""
        while chunk := connection.recv(65536):
            answered += chunk
    first, _, body = answered.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/json" in first
    assert b'"OperationOutcome"' in body
    assert b"nginx/" not in answered


def test_plain_http_is_refused(site: Site) -> None:
    answered = requests.get(f"http://127.0.0.1:{site.port}/cds-services", timeout=10)
    assert answered.status_code == 400
    check_outcome(answered.json())


def test_the_proxys_log_holds_routes_and_numbers_and_no_text_of_a_caller(site: Site) -> None:
    site.request("GET", f"/Patient/{CANARY}?name={CANARY}", signed=False)
    site.request("GET", f"/cds-services?patient={CANARY}", headers={"X-Request-Id": f"{CANARY} x", "Referer": CANARY})
    body = call_body()
    body["prefetch"]["patient"]["name"] = [{"family": CANARY}]
    site.request("POST", CALL, json=body, headers={"User-Agent": CANARY, "X-Request-Id": "seen-1234"})
    site.request("POST", CALL, data=f'{{"{CANARY}'.encode(), headers={"Content-Type": "application/json"})
    log = site.folder / "logs" / "oncobone.log"
    until(lambda: "seen-1234" in log.read_text(encoding="utf-8"), 5)
    for path in (site.folder / "logs").iterdir():
        assert CANARY not in path.read_text(encoding="utf-8")
    for service in site.services.values():
        assert CANARY not in service.log.read_text(encoding="utf-8")
    assert any(line.get("request_id") == "seen-1234" for each in site.services.values() for line in each.lines())


# --- slow clients ---------------------------------------------------------------------------------------------


def test_slow_sockets_do_not_hold_up_normal_calls(site: Site) -> None:
    head = (
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n" % CALL.encode()
    )
    sockets: list[socket.socket] = []
    try:
        for number in range(SLOW_SOCKETS):
            # Idle before TLS, idle after it, half a head, half a body.
            kind = number % 4
            plain = socket.create_connection(("127.0.0.1", site.port), 30)
            sockets.append(plain if kind == 0 else raw(site))
            if kind:
                plain.close()
                sockets[-1].sendall((b"", b"", head[:50], head + b"\r\n{")[kind])
        started = time.monotonic()
        answers = [site.call().status_code for _ in range(10)]
        assert set(answers) == {200}
        assert time.monotonic() - started < 10
    finally:
        for each in sockets:
            each.close()


# --- what dies and comes back ---------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_replaced_and_only_its_own_calls_fail(site: Site) -> None:
    clients = 3
    port = site.ports[0]
    with Load(site, clients) as tally:
        for _ in range(DEATHS):
            time.sleep(random.uniform(1.0, 1.5))
            before = site.workers(port)
            assert len(before) == WORKERS
            victim = max(before)
            os.kill(victim, signal.SIGKILL)
            took = until(lambda: len(site.workers(port) - before) == 1, 5)  # noqa: B023 - used at once
            measured(f"a killed process was replaced after {took:.2f} s")
            assert took < 2
        time.sleep(1)
    assert tally.statuses["200"] > 10
    assert tally.failed <= DEATHS * clients, tally.statuses
    assert set(tally.statuses) <= {"200", "503"}, "a call that was cut off says so: no 401, no half of an answer"
    assert site.ready() == [200, 200]


def test_workers_are_replaced_one_by_one_under_load_without_a_failed_call(site: Site) -> None:
    with Load(site) as tally:
        for port in site.ports:
            for victim in site.workers(port):
                os.kill(victim, signal.SIGTERM)
                until(lambda: victim not in site.workers(port) and len(site.workers(port)) == WORKERS, 20)  # noqa: B023
    assert tally.failed == 0, tally.statuses
    assert tally.statuses["200"] > 10


def test_services_are_restarted_one_after_the_other_under_load_without_a_failed_call(site: Site) -> None:
    with Load(site) as tally:
        for _ in range(RESTARTS):
            for port in site.ports:
                site.restart_service(port)
    assert tally.failed == 0, tally.statuses
    assert tally.statuses["200"] > 10


def test_while_the_database_is_stopped_calls_go_on_and_feedback_is_told_to_come_again(site: Site) -> None:
    card = site.call().json()["cards"][0]["uuid"]
    entry = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T13:00:00Z"}

    def feedback() -> requests.Response:
        return site.request("POST", f"{CALL}/feedback", json={"feedback": [entry]})

    with Load(site, clients=2, pause=0.1) as tally:
        site.cluster.stop()
        until(lambda: site.ready() == [503, 503], 10)
        refused = feedback()
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        metrics = next(iter(site.services.values())).get("/metrics").text
        assert 'oncobone_component_up{component="store"} 0.0' in metrics
        time.sleep(3 if not SOAK else 30)
        site.cluster.start()
        assert until(lambda: feedback().status_code == 200, 15) < 10
        until(lambda: site.ready() == [200, 200], 10)
    assert tally.failed == 0, tally.statuses
    assert max(tally.seconds) < 5


# --- the files themselves -------------------------------------------------------------------------------------


def test_the_example_settings_are_all_known_and_safe_to_start_with() -> None:
    settings = load({"config": str(DEPLOY / "oncobone.toml")}, {})
    assert refuse_unsafe_start(settings) is None
    assert (settings.auth, settings.console, settings.host) == ("signed", False, "127.0.0.1")
    commented = [
        line.lstrip("# ") for line in (DEPLOY / "oncobone.toml").read_text(encoding="utf-8").splitlines()
        if re.match(r"# \w+ = ", line)
    ]  # fmt: skip
    assert {key for line in commented for key in tomllib.loads(line)} == {"database_url", "jku"}


def test_the_unit_file_starts_what_there_is() -> None:
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign] # keep the case of keys
    unit.read(DEPLOY / "systemd" / "oncobone@.service")
    service = unit["Service"]
    assert service["ExecStart"].split()[1:] == ["serve", "--host", "127.0.0.1", "--port", "%i"]
    assert service["KillMode"] == "mixed"
    settings = load({"config": str(DEPLOY / "oncobone.toml")}, {})
    longest = settings.drain_seconds + settings.stop_seconds + settings.last_words_seconds + SLACK_S
    assert int(service["TimeoutStopSec"]) > longest


def test_a_service_drains_for_longer_than_the_proxy_leaves_the_other_one_out() -> None:
    compose = (DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8")
    drain = re.search(r'ONCOBONE_DRAIN_SECONDS: "(\d+)"', compose)
    assert drain
    settings = load({"config": str(DEPLOY / "oncobone.toml")}, {})
    for folder, drains in (("compose", int(drain[1])), ("nginx", settings.drain_seconds)):
        upstream = (DEPLOY / folder / "oncobone-upstream.conf").read_text(encoding="utf-8")
        left_out = {int(seconds) for seconds in re.findall(r"fail_timeout=(\d+)s", upstream)}
        assert left_out
        # nginx counts whole seconds, and asks again when more than so many have gone by.
        assert drains > max(left_out) + 1, folder


def test_the_proxy_sends_nothing_twice() -> None:
    config = (DEPLOY / "nginx" / "nginx.conf").read_text(encoding="utf-8")
    told = set(re.findall(r"proxy_next_upstream ([\w ]+);", config))
    assert told == {"off", "error timeout"}, "a call that was sent once would find its token used"


def test_every_variable_in_deploy_is_a_setting() -> None:
    known = set(VARIABLES) | {"ONCOBONE_CONFIG"}
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            named = set(re.findall(r"ONCOBONE_[A-Z_]+[A-Z]", path.read_text(encoding="utf-8")))
            assert named - known == set(), path.name


def test_every_metric_is_described_and_every_metric_of_the_alerts_exists() -> None:
    there = {f"{each.name}{'_total' * (each.type == 'counter')}" for each in Metrics().registry.collect()}
    alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    assert {name.removesuffix("_bucket") for name in re.findall(r"\b(oncobone_\w+)", alerts)} <= there
    described = re.findall(
        r"^\| `(oncobone_\w+)`", (ROOT / "docs/operations.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(described) == there


def test_every_field_of_the_log_is_described() -> None:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    logs = text[text.index("## Logs") : text.index("## Traces")]
    assert set(FIELDS) - set(re.findall(r"`(\w+)`", logs)) == set()


def test_the_role_of_the_service_is_told_the_same_in_both_places(site: Site) -> None:
    script = (DEPLOY / "postgres.sql").read_text(encoding="utf-8")
    told = {
        table: rights
        for rights, tables in re.findall(r"^GRANT ([A-Z, ]+) ON ([a-z_, ]+) TO oncobone;", script, re.MULTILINE)
        for table in tables.split(", ")
    }
    assert told == GRANTS
    granted = subprocess.run(  # noqa: S603 - our own command
        oncobone("database", "upgrade", "--grant-to", "oncobone_service"),
        env=environment(ONCOBONE_DATABASE_URL=site.owner),
        capture_output=True,
        text=True,
        check=False,
    )
    assert granted.returncode == 0, granted.stderr


def test_no_container_runs_as_the_owner_of_the_tables() -> None:
    compose = (DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8")
    shared, services = compose.split("\nservices:\n")
    assert "//oncobone:" in shared
    assert "oncobone_owner:" not in shared
    assert services.count("//oncobone_owner:") == 1, "the step that brings the tables up to date, and ends"


def test_the_image_is_built_with_what_is_pinned_by_hash() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"pip install ([^\n\\]*)", dockerfile):
        assert "--require-hashes" in line or "--no-deps dist/*.whl" in line, line
    pinned = (DEPLOY / "requirements-build.txt").read_text(encoding="utf-8")
    assert re.search(r"^hatchling==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", pinned, re.MULTILINE)


# --- afterwards -----------------------------------------------------------------------------------------------


def test_after_all_this_the_audit_record_is_whole_and_lacks_no_answered_call(site: Site) -> None:
    assert site.call().status_code == 200
    for service in site.services.values():
        assert service.stop() == 0  # which writes what waits in memory
    assert site.answered
    assert site.answered - site.audited() == set(), "calls that were answered and are not recorded"
    verified = site.run("audit", "verify")
    assert verified.returncode == 0, verified.stderr
    assert "all in order" in verified.stderr
    assert verified.stdout.startswith("north-hospital:")


def test_the_role_of_the_service_cannot_change_or_delete_what_was_recorded(site: Site) -> None:
    with psycopg.connect(site.database, autocommit=True) as connection:
        for statement in (
            "UPDATE audit_records SET record = ''",
            "DELETE FROM audit_records",
            "TRUNCATE audit_records",
            "DROP TABLE audit_records",
            "DELETE FROM feedback",
            "DELETE FROM cards",
            "CREATE TABLE x (y int)",
            "CREATE ROLE x",
            "ALTER TABLE audit_records DISABLE TRIGGER ALL",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
