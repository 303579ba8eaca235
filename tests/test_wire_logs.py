"""What operators see: one line a call without any patient value, counters from closed sets, health."""

from __future__ import annotations

import collections
import io
import json
import logging
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hooks.application import create_app
from hooks.settings import Settings
from hooks.views import DESK
from hooks.watching import observability
from hooks.watching.observability import FIELDS, NOTED_MOST, STATES, JsonLines, Metrics
from recommenders.assessing.topics import NAMES
from tests import fhir_servers
from tests.wire import SERVICE_OF, call_body, check_outcome, patient, with_

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient

    from tests.conftest import Server

CANARIES = ("Zzyzx", "mrn-8842011", "canary-token-1", "1931-07-19", "d00d1e55-0000-4000-8000-00000000feed")
PATH = "/cds-services/oncobone-patient-view"


def planted() -> dict[str, Any]:
    """A call in which every value that must not come out again is a canary."""
    body = call_body(
        hookInstance=CANARIES[4],
        fhirServer="https://unlisted.example/Zzyzx",
        fhirAuthorization={"access_token": CANARIES[2], "token_type": "Bearer", "scope": "x", "subject": "Zzyzx"},
    )
    body = with_(body, "context.userId", "Practitioner/Zzyzx")
    body["prefetch"]["patient"] = patient() | {
        "name": [{"family": "Zzyzx"}],
        "identifier": [{"value": CANARIES[1]}],
        "birthDate": CANARIES[3],
    }
    return body


def calls(server: Server) -> list[dict[str, Any]]:
    return [line for line in server.lines() if line["event"] == "request"]


def test_one_call_is_one_line_of_ids_and_counts(server: Server) -> None:
    before = len(calls(server))
    answered = server.call(call_body())
    lines = calls(server)[before:]
    assert len(lines) == 1
    line = lines[0]
    evaluation = answered.json()["extension"]["org.oncobone.evaluation"]
    assert line["service"] == "oncobone-patient-view"
    assert line["status"] == 200
    assert line["ms"] > 0
    assert line["fired"] == evaluation["fired"]
    assert line["cards"] == len(answered.json()["cards"])
    assert line["request_id"] == answered.headers["X-Request-Id"]
    assert set(line) <= {"time", "level", "event", *FIELDS}


def test_nothing_of_the_patient_user_or_token_is_logged_counted_or_echoed(server: Server) -> None:
    answers = [
        server.call(planted()),
        server.call(planted() | {"hook": "Zzyzx"}, "oncobone-patient-view"),
        server.call(with_(planted(), "context.patientId", "Zzyzx")),
        server.call(with_(planted(), "context.patientId", "Patient/mrn-8842011")),
        server.call(planted(), "Zzyzx"),
        server.get("/mrn-8842011"),
        server.send(b'{"Zzyzx": mrn-8842011'),
    ]
    places = [answer.text for answer in answers[1:]] + [server.get("/metrics").text, json.dumps(server.lines())]
    for canary in CANARIES:
        assert not any(canary in place for place in places), canary
    assert CANARIES[2] not in answers[0].text


def test_a_request_id_is_taken_over_when_it_is_safe(server: Server) -> None:
    assert server.get("/cds-services", headers={"X-Request-Id": "abc-123"}).headers["X-Request-Id"] == "abc-123"
    for unsafe in ("a b", "x" * 65, "<b>", '"}{"level":"x', "a;b", "é"):
        given = server.get("/cds-services", headers={"X-Request-Id": unsafe.encode("utf-8")}).headers["X-Request-Id"]
        assert re.fullmatch(r"[0-9a-f-]{36}", given)
    assert all(isinstance(line, dict) for line in server.lines())


def test_counters_have_labels_from_closed_sets_only(server: Server) -> None:
    for number in range(5):
        server.call(call_body(), f"made-up-{number}")
        server.get(f"/made-up-{number}")
    server.call(call_body("order-sign"))
    text = server.get("/metrics").text
    assert "made-up" not in text
    assert 'oncobone_calls_total{service="none",status="404"}' in text
    assert re.search(r'oncobone_rules_total\{rule="[A-Z]+-\d+",service="oncobone-order-sign",state="\w+"\}', text)
    assert re.search(r'oncobone_cards_total\{indicator="\w+",recommender="order-safety"', text)
    assert "oncobone_call_seconds_bucket" in text


def test_rules_are_counted_one_by_one_however_many_calls_wait_to_be_counted() -> None:
    """Calls whose rules came out alike are noted together, and not without end where nobody reads the metrics."""
    desk = create_app(Settings()).extensions[DESK]
    service, judged = desk.judge(json.dumps(call_body()).encode(), desk.services[:1])
    whole = desk.in_full(service, judged).assessment
    rules = sorted(whole.verdicts)
    metrics, expected = Metrics(), collections.Counter[tuple[str, str]]()
    for number in range(NOTED_MOST + 500):
        few = {rules[at]: whole.verdicts[rules[at]] for at in range(12) if number >> at & 1}
        metrics.assessed("s", msgspec.structs.replace(whole, verdicts=few), [])
        expected.update((rule, verdict.state) for rule, verdict in few.items() if verdict.state in STATES)
        assert len(metrics._noted) <= NOTED_MOST
    text = metrics.text().decode()
    counted = re.findall(r'oncobone_rules_total{rule="(.+)",service="s",state="(.+)"} (.+)', text)
    assert {(rule, state): float(count) for rule, state, count in counted} == expected
    assert expected


def test_what_an_alert_waits_for_is_there_at_nought_before_it_happens() -> None:
    """Prometheus sees no growth in a counter whose first value is 1: the first 500 of a process would raise nothing."""
    text = create_app(Settings()).test_client().get("/metrics").text
    for service in SERVICE_OF.values():
        for status in (200, 412, 429, 500, 503):
            assert f'oncobone_calls_total{{service="{service}",status="{status}"}} 0.0' in text
    assert 'oncobone_topic_failures_total{topic="bone_protection"} 0.0' in text
    assert text.count("oncobone_topic_failures_total{") == len(NAMES)


def test_how_full_the_disk_under_a_database_file_is_can_be_seen(server: Server) -> None:
    found = re.search(r'oncobone_disk_free_share\{component="store"\} (\S+)', server.get("/metrics").text)
    assert found
    assert 0 < float(found[1]) <= 1
    assert "oncobone_disk_free_share{" not in create_app(Settings()).test_client().get("/metrics").text


def test_a_probe_is_no_call() -> None:
    """A proxy asks for the services now and then, or whether we are ready: alerts look at what clinicians get."""
    app = create_app(Settings())
    observability.of(app).health.stopping = True
    client = app.test_client()
    assert (client.get("/cds-services").status_code, client.get("/readyz").status_code) == (200, 503)
    text = client.get("/metrics").text
    assert 'oncobone_calls_total{service="discovery",status="200"} 1.0' in text
    assert 'oncobone_calls_total{service="none",status="503"}' not in text


def test_fetches_are_counted_and_logged_where_nothing_can_be_answered_for_them(log: io.StringIO) -> None:
    with fhir_servers.serving(fhir_servers.status(500)) as ehr:
        client = create_app(Settings(fhir_servers=(ehr.base,))).test_client()
        answered = client.post(PATH, json=call_body(fhirServer=ehr.base, prefetch={}))
        text = client.get("/metrics").text
    assert answered.status_code == 412
    assert 'oncobone_fetches_total{key="conditions",result="server-error"} 1.0' in text
    assert json.loads(log.getvalue().splitlines()[-1])["fetches"]["patient"] == "server-error"


# --- when something of ours fails -----------------------------------------------------------------------------


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    level = observability.LOG.level
    observability.LOG.setLevel(logging.INFO)
    observability.LOG.addHandler(handler)
    yield stream
    observability.LOG.removeHandler(handler)
    observability.LOG.setLevel(level)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """An app whose insides fail with a message that holds a patient's name."""
    app = create_app(Settings())
    desk = app.extensions[DESK]

    def fail(*_: object) -> None:
        raise ValueError("Zzyzx was born in 1931")

    monkeypatch.setattr(type(desk), "words", fail)
    return app.test_client()


def test_an_error_of_ours_is_a_500_without_detail_and_a_log_line_without_value(
    broken: FlaskClient, log: io.StringIO
) -> None:
    answered = broken.post(PATH, json=call_body())
    assert answered.status_code == 500
    check_outcome(answered.get_json())
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    failure, call = next(line for line in lines if "error" in line), lines[-1]
    assert failure["error"] == "ValueError"
    assert failure["request_id"] == call["request_id"] == answered.headers["X-Request-Id"]
    assert any("test_wire_logs.py" in place for place in failure["where"])
    assert "Zzyzx" not in answered.text + log.getvalue()


def test_no_metric_of_several_processes_is_told_by_a_clock() -> None:
    """What was noted by a clock a day ahead stays the newest for a day: `component_up` said that all was well."""
    modes = {str(getattr(each, "_multiprocess_mode", "")) for each in Metrics().registry._collector_to_names}
    assert "livesum" in modes
    assert not any("recent" in mode for mode in modes)


def test_a_machine_without_memory_to_spare_says_come_again(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    app = create_app(Settings())

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(type(app.extensions[DESK]), "words", fail)
    answered = app.test_client().post(PATH, json=call_body())
    assert (answered.status_code, answered.headers["Retry-After"]) == (503, "1")
    check_outcome(answered.get_json())
    assert '"error": "MemoryError"' in log.getvalue()


def test_a_field_that_is_not_on_the_list_is_not_logged(log: io.StringIO) -> None:
    observability.LOG.warning("x", extra={"patient_name": "Zzyzx", "status": 200})
    line = json.loads(log.getvalue())
    assert line["status"] == 200
    assert "patient_name" not in line


def test_an_exceptions_text_and_other_libraries_words_are_not_logged() -> None:
    with pytest.raises(KeyError) as caught:
        dict[str, int]()["Zzyzx"]
    info = (caught.type, caught.value, caught.tb)
    record = logging.LogRecord("urllib3.x", logging.WARNING, "f", 1, "Zzyzx %s", ("Zzyzx",), info)
    line = JsonLines().format(record)
    assert json.loads(line)["event"] == "urllib3.x"
    assert "Zzyzx" not in line


# --- health ---------------------------------------------------------------------------------------------------


def test_a_component_in_trouble_is_named_and_the_process_stays_alive() -> None:
    app = create_app(Settings())
    client = app.test_client()
    assert client.get("/readyz").get_json() == {"status": "ready"}
    observability.of(app).health.checks["store"] = lambda: "is full"
    answered = client.get("/readyz")
    assert answered.status_code == 503
    assert "store is full" in answered.get_json()["issue"][0]["diagnostics"]
    assert client.get("/healthz").status_code == 200


def test_a_check_that_fails_is_trouble_and_not_a_crash() -> None:
    app = create_app(Settings())

    def fail() -> None:
        raise OSError("secret")

    observability.of(app).health.checks["store"] = fail
    answered = app.test_client().get("/readyz")
    assert answered.status_code == 503
    assert "secret" not in answered.text
